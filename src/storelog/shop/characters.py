"""Classes of characters that people's texts are checked for, as parts of regular expressions.

Both the check of a request and the JSON Schema that describes the request are built from them.
Next: shop/json_schema.py
"""

# Controls, ends of lines, and what has no width, such as U+200B: what Unicode lets a font not show
# (Default_Ignorable_Code_Point), and U+2800.
UNSEEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
# Those beyond U+FFFF, which the patterns of a JSON Schema cannot name for every reader.
UNSEEN_BEYOND = r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
# The blanks, dots and hyphens of every width that people write or paste between digits.
BETWEEN_DIGITS = (
    r"- \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000.\xad\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
)
