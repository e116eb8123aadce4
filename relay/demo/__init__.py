"""The relay shown at work: between a typist, a stand-in platform and a tracker, all of them in one process."""
