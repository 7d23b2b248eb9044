"""Verdicts become tags in files, and can be undone.

``run.TagRun`` is what ``ostinato tag`` does. The modules: ``library`` goes from files to rows,
``store`` keeps what is known between runs, ``policy`` and ``genre_map`` say which genres a file
gets, ``row`` is a file of a run; ``outputs`` and ``page`` are made of rows. ``tags`` reads and
writes the tags of a file, ``other_items`` proves what it left alone; ``file_tags``, ``file_bytes``
and ``genre_names`` are common to its formats, one a module: ``id3``, ``id3_files``, ``chunks``,
``ape``, ``vorbis``, ``flac``, ``ogg``, ``mp4``, ``asf``. ``change`` changes a file safely, ``undo``
brings it back and ``repair`` mends what was interrupted, all by the one ``road``; ``journal``,
``journal_file`` and ``entry`` are what is kept for that, ``copies``, ``delta`` and ``payload`` its
parts.
"""
