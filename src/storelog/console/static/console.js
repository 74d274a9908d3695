// What pages do where there are scripts: they follow the shop, draw finer charts, and travel.
"use strict";
document.documentElement.classList.add("scripted");

// One live stream a tab, closed while the tab is hidden. htmx's SSE extension opens and closes it.
const followed = document.querySelector("[data-live]");
const SHOWN_MS = 2000, AGAIN_MS = 30000;
if (followed) {
  let stream = null, shownAt = -Infinity, waiting = null;
  // A change is shown at once, or at the end of the 2 s after the one before: none is left out.
  // While a link in there has the focus, it stays where it is; what came is shown afterwards.
  const show = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      if (followed.contains(document.activeElement)) return;
      shownAt = performance.now();
      htmx.trigger(followed, "storelog:changed");
    }, Math.max(0, shownAt + SHOWN_MS - performance.now()));
  };
  const open = () => {
    if (stream || document.hidden) return;
    stream = document.createElement("div");
    stream.hidden = true;
    stream.setAttribute("hx-ext", "sse");
    stream.setAttribute("sse-connect", followed.dataset.live);
    const listener = document.createElement("div");
    listener.setAttribute("sse-swap", "message");
    listener.setAttribute("hx-swap", "none");
    stream.append(listener);
    document.body.append(stream);
    stream.addEventListener("htmx:sseBeforeMessage", event => {
      event.preventDefault();
      show();
    });
    htmx.process(stream);
  };
  const close = () => {
    if (!stream) return;
    htmx.remove(stream);
    stream = null;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else {
      open();
      show();
    }
  });
  followed.addEventListener("focusout", event => {
    if (!followed.contains(event.relatedTarget)) show();
  });
  // Counts of the last minute go down although nothing changes.
  setInterval(() => {
    if (stream) show();
  }, AGAIN_MS);
  addEventListener("pagehide", close);
  open();
}

// The field says where to; the slider only fills it in.
const slider = document.getElementById("as-of-slider");
if (slider) {
  const field = document.getElementById("as-of");
  slider.addEventListener("input", () => { field.value = slider.value; });
  slider.addEventListener("change", () => { slider.form.requestSubmit(); });
}

// The drawing that needs no script makes room for one that can be read off.
const charts = [];
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const labels = span => at => at.map(seconds => {
  const text = new Date(seconds * 1e3).toISOString();
  return span > 2 * 86400 ? text.slice(5, 10) : text.slice(11, 16);
});
const draw = (figure, data, names) => {
  const svg = figure.querySelector("svg");
  const caption = figure.querySelector("figcaption");
  const isBars = figure.dataset.kind === "bars";
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const paths = isBars ? uPlot.paths.bars({ size: [0.7, 60] }) : uPlot.paths.stepped({ align: 1 });
  const label = labels(data[0].at(-1) - data[0][0]);
  const line = { stroke: colour("--accent"), width: isBars ? 0 : 2, fill: isBars ? colour("--accent") : undefined, paths, points: { show: false } };
  const plot = new uPlot({
    width: figure.clientWidth - 32, height: 190, tzDate: seconds => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
    legend: { live: true }, cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
    axes: [{ ...axis, values: (_, at) => label(at) }, { ...axis, size: 70 }],
    series: [{ label: isBars ? "Day" : "Time", value: isBars ? "{YYYY}-{MM}-{DD}" : "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...names.map(label => ({ ...line, label }))],
  }, data, figure);
  svg.setAttribute("hidden", "");
  svg.remove();
  caption.hidden = true;
  charts.push({ figure, plot });
};
for (const figure of document.querySelectorAll(".chart[data-series]")) {
  const data = JSON.parse(figure.dataset.series);
  // What happened within a minute has no axis to speak of.
  const span = data[0].length ? data[0].at(-1) - data[0][0] : 0;
  if (span > 60) draw(figure, data, JSON.parse(figure.dataset.names));
}
addEventListener("resize", () => {
  for (const { figure, plot } of charts) plot.setSize({ width: figure.clientWidth - 32, height: 190 });
});
