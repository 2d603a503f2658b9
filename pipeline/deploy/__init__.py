"""Put the app on a Hugging Face Space: which files go along, what is checked first, and the Hub's part."""
