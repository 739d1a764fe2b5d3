"""Page and JSON of the report must exist, and the page must show every claim with the JSON's verdict."""

import html
import json
import re
import sys
from collections import Counter
from pathlib import Path

folder = Path(sys.argv[1])
audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
page = (folder / "index.html").read_text(encoding="utf-8")
shown = dict(re.findall(r'data-claim="([^"]+)"[^>]*data-verdict="([^"]+)"', page))
told = {html.escape(claim["id"]): claim["verdict"] for claim in audit["claims"]}
counts = dict(Counter(told.values()))
if shown != told or counts != audit["counts"]:
    sys.exit(f"report: the page shows {Counter(shown.values())}, audit.json holds {audit['counts']}")
if len(page.encode("utf-8")) > 4_000_000:
    sys.exit(f"report: the page has {len(page.encode('utf-8'))} bytes, expected at most 4 MB")
print(f"report: {len(told)} claims, {audit['counts']}, page and JSON agree")
