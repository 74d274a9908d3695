"""`storelog config`: every setting with its value, source, unit and default."""

from dataclasses import fields

from storelog.cli.options import AsJson, DataDir, print_json, settings_of
from storelog.config import Settings, shown


def config(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print every setting; secrets are masked. Example: storelog config --json"""
    loaded = settings_of(data_dir)
    rows = [
        {
            "name": f"STORELOG_{entry.name.upper()}",
            "value": shown(entry.name, getattr(loaded.settings, entry.name)),
            "source": loaded.sources[entry.name],
            "unit": entry.metadata["unit"],
            "default": shown(entry.name, entry.default),
            "about": entry.metadata["about"],
        }
        for entry in fields(Settings)
    ]
    # Not one of the fields, since it decides where some of their values come from.
    rows.append(
        {
            "name": "STORELOG_DATA_DIR",
            "value": str(loaded.data_dir),
            "source": loaded.sources["data_dir"],
            "unit": "",
            "default": "./.storelog",
            "about": "where `storelog up` keeps its data",
        }
    )
    if as_json:
        print_json({"settings": rows})
        return
    for row in rows:
        unit = f" {row['unit']}" if row["unit"] else ""
        default = f", default {row['default']}{unit}" if row["default"] else ""
        print(f"{row['name']} = {row['value'] or '-'}{unit if row['value'] else ''}")
        print(f"    {row['about']} ({row['source']}{default})")
