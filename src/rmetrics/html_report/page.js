(() => {
  "use strict";
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const views = new Map();

  // Draws the charts of a part of the page that have not been drawn yet; a hidden one would have no width.
  function draw(part) {
    return Promise.all([...part.querySelectorAll(".chart")].map(async (box) => {
      if (views.has(box.id) || !box.clientWidth) return;
      views.set(box.id, null);
      const made = await vegaEmbed(box, specs[box.id], { actions: false, renderer: "svg" });
      views.set(box.id, made.view);
      box.dataset.drawn = "yes";
    }));
  }

  async function save(id) {
    const view = views.get(id);
    if (!view) return;
    const link = document.createElement("a");
    link.href = await view.toImageURL("png", 2);
    link.download = id + ".png";
    link.click();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.png");
    if (button) save(button.dataset.chart);
  });
  for (const part of document.querySelectorAll("details")) {
    part.addEventListener("toggle", () => { if (part.open) draw(part); });
  }
  // On paper there is nothing to click: the channels that are printed are opened, and closed again afterwards. Charts get
  // the size of their place on the sheet, or the words in them would shrink with them.
  const PAPER = [["#channels .chart", 500, 62], ["#health .chart", 500, 120], [".chart", 330, 120]];
  let closed = [], sizes = [];
  function paper() {
    closed = [...document.querySelectorAll("details:not([open]):not(.screen)")];
    for (const part of closed) part.open = true;
    draw(document);
    sizes = [];
    for (const [id, view] of views) {
      const box = document.getElementById(id);
      if (!view || box.closest(".screen")) continue;
      const [, width, height] = PAPER.find(([place]) => box.matches(place));
      sizes.push([view, view.width(), view.height()]);
      view.width(width).height(height).run();
    }
  }
  function screen() {
    for (const [view, width, height] of sizes) view.width(width).height(height).run();
    for (const part of closed) part.open = false;
    closed = []; sizes = [];
  }
  addEventListener("beforeprint", paper);
  addEventListener("afterprint", screen);

  // A table that is wider than its box says so, and its first column stays in sight.
  const tables = [...document.querySelectorAll(".scroll")];
  function mark(box) {
    box.classList.toggle("more", box.scrollWidth > box.clientWidth + 1);
  }
  const watch = new ResizeObserver((seen) => { for (const { target } of seen) mark(target); });
  for (const box of tables) { watch.observe(box); mark(box); }
  window.rmetricsCharts = { views, draw };
  draw(document).then(() => { document.body.dataset.ready = "yes"; });
})();
