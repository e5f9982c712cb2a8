"""The network of the segmentation front end: the only place that imports torch, and only when it is used."""
