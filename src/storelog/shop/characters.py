"""Classes of characters that are told apart in texts of people, as regular expressions have them.

A request is checked by them, and the JSON Schema of what it may say is made of them.
Next: shop/json_schema.py
"""

# Controls, ends of lines, and what has no width, such as U+200B.
UNSEEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)
# The blanks, dots and hyphens of every width that people write or paste between digits.
BETWEEN_DIGITS = (
    r"- \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000.\xad\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
)
