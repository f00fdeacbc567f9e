"""Lets tests import the training's modules from wherever pytest is started."""

import os
import sys
from pathlib import Path

TRAINING = Path(__file__).parent.parent.parent
sys.path.insert(0, str(TRAINING))
os.chdir(TRAINING)
