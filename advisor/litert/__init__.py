"""LiteRT: functions converted for it, run in it and timed, and the forms of layers that cost least there."""
