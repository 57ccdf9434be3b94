"""What the commands of ``mgimm`` do; ``cli`` only reads their options. Heavy imports wait until a command runs."""
