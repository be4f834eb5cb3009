"""How fast Pseudoword is, and how good what it learns: `python run.py bench`, or a part: `python run.py bench words`.

    training.py   one training run and the figures of its word, which the others share
    demo.py       seconds and memory of `pseudoword demo`
    overhead.py   training against the bare UNet and text encoder passes
    words.py      20 held-out objects and the held-out style, against the best word that the model knows
    norm.py       learning the direction only, against learning the length, too
    peer.py       against the textual-inversion procedure of diffusers, by the clock

Times are compared within one process, as ratios, since machines are shared; none of this is a test.
"""
