"""Code inside the jail: the zygote and its children. Imports nothing of the rest but plain data and framing."""
