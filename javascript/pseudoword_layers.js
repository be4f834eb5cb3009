// Shows which layer is remembered for the checkpoint that is loaded now, as long as somebody can see it; and does for
// the CLIP skip panel what only a browser can: bring prompts to the comparison, and the table to a file and back.
(() => {
  "use strict";

  const { isSeen, asked, fill, openTabsOf } = window.pseudoword;
  const EVERY_MS = 2000;

  const look = async (box) => {
    if (!isSeen(box)) return;
    try {
      box.textContent = (await (await asked("layers/remembered")).json()).says;
    } catch (problem) {
      box.textContent = `The server cannot be reached (${problem.message}); trying again.`;
    }
  };

  const lookAtAll = async () => {
    await Promise.all([...document.querySelectorAll(".pseudoword-remembered")].map(look));
    window.setTimeout(lookAtAll, EVERY_MS);
  };

  window.setTimeout(lookAtAll, EVERY_MS);

  // What is written in one of the WebUI's tabs: its prompt, and its negative prompt.
  const promptsOf = (tab) => ["prompt", "neg_prompt"].map((name) => document.querySelector(`#${tab}_${name} textarea`)?.value ?? "");

  const compare = (prompt, negative) => {
    if (prompt) fill("layers_template", prompt); // else what is there stays, an example at first
    fill("layers_negative", negative);
    openTabsOf(document.getElementById("pseudoword_layers_template"));
    return [];
  };

  const MOST_BYTES = 2_000_000;

  // The text of a file that somebody chooses; where nobody does, nothing comes of it.
  const chosenText = () => new Promise((go) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = ".txt,.csv,text/plain";
    input.addEventListener("change", async () => go(await input.files[0].slice(0, MOST_BYTES).text()));
    input.click();
  });

  const download = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = name;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), EVERY_MS);
    return [];
  };

  window.pseudoword.layers = { promptsOf, compare, chosenText, download };
})();
