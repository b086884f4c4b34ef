() => {
  // pictures pasted anywhere on the page go where dropped ones do
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((f) => f.type.startsWith("image/"));
    const input = document.querySelector("#pictures input[type=file]");
    if (!files.length || !input) return;
    const transfer = new DataTransfer();
    files.forEach((file) => transfer.items.add(file));
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    event.preventDefault();
  });

  // Gradio's sliders between two pictures know the mouse alone: the keyboard moves them, too, and
  // screen readers are told what they are
  const shown = {
    slider: ["before", "after"],
    beside: ["before", "after, by the other model"],
    damaged: ["the photo", "damaged"],
    undone: ["damaged", "restored"],
  };
  const steps = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, Home: -100, End: 100 };

  function share(handle) {
    const [area, at] = [handle.parentElement, handle].map((part) => part.getBoundingClientRect());
    return Math.round((100 * (at.x + at.width / 2 - area.x)) / area.width);
  }

  function describe(handle, [first, second]) {
    const now = Math.min(Math.max(share(handle), 0), 100);
    handle.setAttribute("aria-valuenow", now);
    handle.setAttribute("aria-valuetext", `${now} % ${first}, the rest ${second}`);
  }

  function move(handle, by) {
    const area = handle.parentElement.getBoundingClientRect();
    const to = Math.min(Math.max(share(handle) + by, 0), 100);
    const at = { clientX: area.x + (to * area.width) / 100, clientY: area.y + area.height / 2 };
    const how = { bubbles: true, cancelable: true, view: window, ...at };
    handle.dispatchEvent(new MouseEvent("mousedown", how));
    window.dispatchEvent(new MouseEvent("mouseup", how));
  }

  function adapt() {
    for (const [id, names] of Object.entries(shown)) {
      document.querySelectorAll(`#${id} img`).forEach((image, i) => {
        if (image.alt !== names[i % 2]) image.alt = names[i % 2];
      });
      for (const handle of document.querySelectorAll(`#${id} .outer:not([role=slider])`)) {
        const told = {
          role: "slider",
          tabindex: 0,
          "aria-label": `from ${names[0]} to ${names[1]}`,
          "aria-valuemin": 0,
          "aria-valuemax": 100,
        };
        for (const [name, value] of Object.entries(told)) handle.setAttribute(name, value);
        describe(handle, names);
        handle.addEventListener("keydown", (event) => {
          if (!(event.key in steps)) return;
          event.preventDefault();
          move(handle, steps[event.key]);
        });
        new MutationObserver(() => describe(handle, names)).observe(handle, {
          attributeFilter: ["style"],
        });
      }
    }
  }
  new MutationObserver(adapt).observe(document.body, { childList: true, subtree: true });
  adapt();
}
