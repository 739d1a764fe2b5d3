"""Two denoisers from the same noise: do they draw the same image, are they copying, do their training sets overlap?"""
