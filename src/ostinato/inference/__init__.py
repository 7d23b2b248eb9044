"""A model file and a sound give a verdict.

The public names, ``Classifier``, ``Verdict`` and ``classify``, are those of :mod:`ostinato`. The
modules: ``classifier`` is the road from sound to verdict, ``sampling`` chooses excerpts of a long
sound, ``verdict`` pools them, ``live`` is for sound that does not end, ``timeline`` draws;
``registry`` knows which models there are, ``default_model`` which is used, ``catalogue`` what is
said of them; ``model_file``, ``model_info``, ``onnx_check`` and ``session`` read, check and open
one; ``ear`` is what a model may hear through, and ``musicnn`` and ``musicnn_wheel`` make the one
that is fetched.
"""
