"""Token cache: the tokens of every pair once per text file, tokenizer and template, mapped into memory when read.

Neither labels nor sides nor a length belong to it: they are applied when a pair is read. So a flipped label, another
mixture, another maximum length and another model of the same family tokenise nothing again.
"""
