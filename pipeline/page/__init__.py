"""Everything Gradio: the page on which a case is opened, analysed, browsed and reviewed."""
