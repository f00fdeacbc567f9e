"""Detectron2's Faster R-CNN with a ResNet-FPN, for training: its parameter names, its configuration keys, its numbers.

Only what docreader's default model uses is here. What is trained is written as Detectron2 would write it, so that `app model import`
cannot tell the difference.
"""
