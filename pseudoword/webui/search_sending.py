"""Pictures that were found are sent to img2img as the WebUI sends its own: with their prompts and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from modules import infotext_utils

from ..decoding import load_picture
from ..errors import PseudowordError
from ..jobs.search.picture_search import PictureSearch
from ..scoring.infotext import infotext_in

HIDDEN = "pseudoword-hidden"
TAB = "img2img"
# After the picture has arrived in the page; where there is none, nothing is sent.
PRESS = "(picture) => { if (picture) document.querySelector('#pseudoword_send_img2img').click(); }"


def build_sending(search: PictureSearch) -> None:
    """Put the fields where Gradio builds now; nobody sees them, and the page's script fills the first."""
    asked = gr.Textbox(elem_id="pseudoword_sent", elem_classes=HIDDEN, show_label=False)
    picture = gr.Image(type="pil", elem_id="pseudoword_sent_picture", elem_classes=HIDDEN, show_label=False)
    infotext = gr.Textbox(elem_id="pseudoword_sent_infotext", elem_classes=HIDDEN, show_label=False)
    send = gr.Button("Send", elem_id="pseudoword_send_img2img", elem_classes=HIDDEN)
    infotext_utils.register_paste_params_button(
        infotext_utils.ParamBinding(
            paste_button=send, tabname=TAB, source_text_component=infotext, source_image_component=picture
        )
    )
    sent = asked.change(lambda text: fetched(search, text), asked, [picture, infotext], queue=False)
    sent.then(None, picture, None, _js=PRESS, queue=False)


def fetched(search: PictureSearch, text: str) -> tuple[Any, str]:
    """The picture whose id stands first in `text`, and what its file says; None where it is gone."""
    try:
        path = search.row(text.split(" ")[0])[1].file.path
        return load_picture(Path(path)), infotext_in(path)
    except PseudowordError:  # the page has just shown it, and says so when it is asked again
        return None, ""
