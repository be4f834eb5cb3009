"""What people set out to teach, and the training settings that suit it."""

from __future__ import annotations

from typing import Any

# Only what differs from the defaults of `TrainSettings`.
PRESETS: dict[str, dict[str, Any]] = {
    "object": {},
    "style": {"templates": "style", "preview_prompt": "a picture in the style of [name], a cat", "vectors": 2},
    "person": {"vectors": 2, "steps": 2000, "preview_prompt": "a photo of [name]"},
    "quick look": {"steps": 200, "validate_every": 25, "preview_every": 100, "patience": 3},
}
