"""The gallery: every kind of picture that the program makes, as docs/gallery.md.

    python -m bench.gallery
    python -m bench.gallery --run RUN --compare RUN --scaling RUN --ablate RUN --credit "PHOTOS, LICENCE"

Finished runs are taken where they are given. For the others short ones are made on the embedded digits,
under runs/gallery; the same command goes on where a killed one was.
"""
