"""What turns boxes into region tokens."""
