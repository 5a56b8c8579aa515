"""The sources' full-size recipes, field by field marked by where each value comes from.

[stated] in paper or poster, [release] in released code, [proxy] in code or configs of the same
authors, [ours] where nothing says. None of these was run at full size by us: they need the corpora,
and a GPU or a TPU pod.
"""
