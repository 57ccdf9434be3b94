"""The playground: a web page where one draws boxes on an aerial image and reads what is in them."""
