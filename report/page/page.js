// Pointing at a chart shows its values there. Without this script the page is complete but for that.
"use strict";
const write = {
  percent: v => (100 * v).toFixed(1) + "%",
  number: v => Number(v.toPrecision(3)).toString(),
  count: v => {
    const units = ["", " k", " M", " G", " T", " P"];
    let i = 0;
    while (Math.abs(v) >= 999.5 && i < units.length - 1) { v /= 1000; i++; }
    return (i ? v.toPrecision(3) : v.toFixed(0)) + units[i];
  },
  bytes: v => {
    const text = write.count(v);
    return text + (text.includes(" ") ? "B" : " B");
  },
  time: v => { // nanoseconds
    const units = [" ns", " µs", " ms", " s"];
    let i = 0;
    while (Math.abs(v) >= 999.5 && i < units.length - 1) { v /= 1000; i++; }
    return v.toPrecision(3) + units[i];
  },
};
for (const plot of document.querySelectorAll(".plot")) {
  const [x0, x1, y0, y1] = plot.dataset.scale.split(" ").map(Number);
  const svg = plot.querySelector("svg");
  const lines = [...svg.querySelectorAll("path")].map(path => ({
    path, name: path.dataset.name,
    points: path.getAttribute("d").slice(1).split(/[ML]/).map(p => p.split(" ").map(Number)),
  }));
  const cursor = document.createElement("i"), reading = document.createElement("span");
  cursor.className = "cursor";
  reading.className = "reading";
  const hide = () => {
    cursor.remove();
    reading.remove();
    svg.classList.remove("picked");
    for (const l of lines) l.path.classList.remove("on");
  };
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const x = 1000 * (event.clientX - box.left) / box.width, y = 1000 * (event.clientY - box.top) / box.height;
    hide();
    if (x < -20 || x > 1020) return;
    const near = lines.map(l => ({ l, p: l.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a) }));
    let shown = near;
    if (near.length > 3) {
      shown = [near.reduce((a, b) => Math.abs(b.p[1] - y) < Math.abs(a.p[1] - y) ? b : a)];
      svg.classList.add("picked");
      shown[0].l.path.classList.add("on");
    }
    const at = shown[0].p[0];
    cursor.style.left = reading.style.left = at / 10 + "%";
    reading.style.transform = `translate(${-at / 10}%, -100%)`;
    const value = p => write[plot.dataset.format](y0 + (1 - p[1] / 1000) * (y1 - y0));
    reading.textContent = `step ${Math.round(x0 + at / 1000 * (x1 - x0))}: ` + shown.map(s => `${s.l.name} ${value(s.p)}`).join(", ");
    plot.append(cursor, reading);
  });
}
