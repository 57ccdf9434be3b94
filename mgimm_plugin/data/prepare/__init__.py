"""Foreign datasets turned into records: ``mgimm prepare``."""
