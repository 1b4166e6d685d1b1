/* Pick a star: planes of labels, the star's spectrum with the model of it, and sliders for its labels. */
"use strict";

(() => {
  const data = window.labeltransferExplorer;
  const root = document.getElementById("explorer");
  if (!data || !root) return;

  const WHOLE = 400; // more pixels than this are drawn as a line, fewer as steps
  const TYPICAL_SNR = 100, NARROW = 240; // pixels; a page that is not laid out yet has none
  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const EXAMPLES = [
    ["metal-poor", "fe_h", -1], ["α-rich", "alpha_m", 1], ["cool", "teff", -1], ["hot", "teff", 1], ["reddened", "a_k", 1],
  ];

  // ---- data ----------------------------------------------------------------------------------------------------

  function decoded(text, Kind) {
    const letters = atob(text), bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    return new Kind(bytes.buffer);
  }

  const labels = data.labels, stars = data.stars;
  const wavelength = decoded(data.wavelength, Float32Array), nPixels = wavelength.length;
  const coefficients = decoded(data.coefficients, Float32Array);
  const scatter = decoded(data.scatter, Float32Array);
  const steps = decoded(data.flux, Int16Array), errors = decoded(data.error, Uint8Array);
  const background = decoded(data.background, Float32Array);
  const errorOf = Float64Array.from({ length: 256 }, (_, q) =>
    q ? data.error_low * data.error_ratio ** (q - 1) : NaN);

  /** Flux and error of a star; NaN where masked. */
  function observed(star) {
    const first = star * nPixels, flux = new Float64Array(nPixels), error = new Float64Array(nPixels);
    for (let p = 0; p < nPixels; p++) {
      error[p] = errorOf[errors[first + p]];
      flux[p] = Number.isNaN(error[p]) ? NaN : steps[first + p] * data.flux_step;
    }
    return { flux, error };
  }

  /** Equation 3: the model's flux for labels in physical units; NaN at undetermined pixels. */
  function predict(values) {
    const x = values.map((value, i) => (value - data.pivots[i]) / data.scales[i]);
    const vector = data.terms.map((term) => term.reduce((product, i) => product * x[i], 1));
    const flux = new Float64Array(nPixels), n = vector.length;
    for (let p = 0; p < nPixels; p++) {
      let sum = 0;
      for (let m = 0; m < n; m++) sum += coefficients[p * n + m] * vector[m];
      flux[p] = Number.isFinite(scatter[p]) ? sum : NaN;
    }
    return flux;
  }

  // ---- words ---------------------------------------------------------------------------------------------------

  const fixed = (value, digits) => value.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
  const signed = (value, digits) => (value > 0 ? "+" : "") + fixed(value, digits);
  const errorDigits = (label) => label.digits + (label.unit === "K" ? 0 : 1);
  const axisName = (label) => (label.unit ? `${label.symbol} [${label.unit}]` : label.symbol);
  const typeset = (symbol) => symbol.replace("Teff", "T_eff").replace(/_(\w+)/, "<sub>$1</sub>");

  function inWords(star) {
    const parts = labels.map((label, i) => `${label.symbol} ${fixed(star.fitted[i], label.digits)} ${label.unit}`);
    return `Star ${star.id}: ${parts.join(", ")}; S/N ${fixed(star.snr, 0)}, reduced χ² ${fixed(star.chi2, 2)}.`;
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  function draw(parent, name, attributes = {}, text = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text) element.textContent = text;
    parent.append(element);
    return element;
  }

  function emptied(svg, width, height) {
    svg.replaceChildren();
    for (const [key, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) {
      svg.setAttribute(key, value);
    }
    return svg;
  }

  /** A map from values to pixels; give `from` the higher end first to reverse an axis. */
  const scale = (from, to) => {
    const slope = (to[1] - to[0]) / (from[1] - from[0]);
    return Object.assign((value) => to[0] + (value - from[0]) * slope, { from, to });
  };

  function ticks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0));
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found.map((value) => [value, fixed(value, digits)]);
  }

  function frame(svg, x, y, names, most = [6, 5]) {
    const [left, right] = x.to, [bottom, top] = y.to, sorted = (ends) => [...ends].sort((a, b) => a - b);
    draw(svg, "rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top });
    for (const [value, text] of names[0] === null ? [] : ticks(...sorted(x.from), most[0])) {
      draw(svg, "path", { class: "tick", d: `M${x(value)} ${bottom}v4` });
      draw(svg, "text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, text);
    }
    for (const [value, text] of ticks(...sorted(y.from), most[1])) {
      draw(svg, "path", { class: "tick", d: `M${left} ${y(value)}h-4` });
      draw(svg, "text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, text);
    }
    if (names[0]) draw(svg, "text", { class: "name", x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, names[0]);
    const turned = `translate(12 ${(top + bottom) / 2}) rotate(-90)`;
    draw(svg, "text", { class: "name", transform: turned, "text-anchor": "middle" }, names[1]);
  }

  function sayIfSimulated(svg, right) {
    if (data.simulated) draw(svg, "text", { class: "simulated", x: right, y: 12, "text-anchor": "end" }, "simulated");
  }

  // ---- planes of labels ----------------------------------------------------------------------------------------

  function range(values, share = 0) {
    const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
    const at = (q) => sorted[Math.round(q * (sorted.length - 1))];
    return [at(share), at(1 - share)];
  }

  function axisEnds(label) {
    const known = [...background.filter((_, k) => k % labels.length === label)];
    const crowd = range(known, 0.002), picked = range(stars.flatMap((star) => [star.reference[label], star.fitted[label]]));
    const low = Math.min(crowd[0], picked[0]), high = Math.max(crowd[1], picked[1]), room = 0.04 * (high - low) || 1;
    return labels[label].reversed ? [high + room, low - room] : [low - room, high + room];
  }

  class Plane {
    constructor(axes, place) {
      this.axes = axes;
      this.ends = axes.map(axisEnds);
      const names = axes.map((label) => labels[label].symbol).join(" and ");
      this.box = document.createElement("div");
      this.box.className = "explorer-plane";
      for (const [key, value] of Object.entries({
        tabindex: 0, role: "application", "aria-roledescription": "map of stars", "aria-describedby": "explorer-help",
        "aria-label": `Stars in the plane of ${names}`,
      })) this.box.setAttribute(key, value);
      this.svg = draw(this.box, "svg", { "aria-hidden": "true" });
      this.box.addEventListener("click", (event) => this.pick(event));
      this.box.addEventListener("keydown", (event) => this.walk(event));
      place.append(this.box);
    }

    at(values) {
      return [this.x(values[this.axes[0]]), this.y(values[this.axes[1]])];
    }

    resize() {
      const width = Math.max(this.box.clientWidth, NARROW), height = Math.round(Math.min(320, Math.max(230, 0.8 * width)));
      this.x = scale(this.ends[0], [52, width - 8]);
      this.y = scale(this.ends[1], [height - 42, 18]);
      const svg = emptied(this.svg, width, height);
      let crowd = "";
      for (let k = 0; k < background.length; k += labels.length) {
        const [x, y] = this.at(background.subarray(k, k + labels.length));
        if (x > 52 && x < width - 8 && y > 18 && y < height - 42) crowd += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
      }
      frame(svg, this.x, this.y, this.axes.map((label) => axisName(labels[label])), [width < 300 ? 4 : 5, 5]);
      draw(svg, "path", { class: "crowd", d: crowd });
      for (const star of stars) {
        const [cx, cy] = this.at(star.reference);
        draw(svg, "circle", { class: "star", cx, cy, r: 3.6 });
      }
      this.marks = draw(svg, "g");
      sayIfSimulated(svg, width - 8);
    }

    mark() {
      const star = stars[chosen], [x, y] = this.at(star.reference), [u, v] = this.at(star.fitted);
      const [du, dv] = this.axes.map((label, k) => Math.abs([this.x, this.y][k](star.errors[label]) - [this.x, this.y][k](0)));
      this.marks.replaceChildren();
      draw(this.marks, "path", { class: "shift", d: `M${x} ${y}L${u} ${v}` });
      draw(this.marks, "circle", { class: "halo", cx: x, cy: y, r: 8 });
      draw(this.marks, "circle", { class: "chosen", cx: x, cy: y, r: 8 });
      draw(this.marks, "path", { class: "fitted", d: `M${u - Math.max(du, 4)} ${v}H${u + Math.max(du, 4)}M${u} ${v - Math.max(dv, 4)}V${v + Math.max(dv, 4)}` });
      if (!moved()) return;
      const [p, q] = this.at(whatIf());
      draw(this.marks, "path", { class: "what-if-mark", d: `M${p - 6} ${q}l6 -6l6 6l-6 6z` });
    }

    pick(event) {
      const frame = this.svg.getBoundingClientRect(), here = [event.clientX - frame.left, event.clientY - frame.top];
      const away = stars.map((star) => Math.hypot(...this.at(star.reference).map((value, k) => value - here[k])));
      choose(away.indexOf(Math.min(...away)));
    }

    walk(event) {
      const direction = KEYS[event.key];
      if (!direction || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const next = this.nearest(direction);
      if (next >= 0) choose(next);
    }

    /** The star that is nearest in a direction; going astray sideways counts twice. */
    nearest([right, down]) {
      const here = this.at(stars[chosen].reference);
      let best = -1, least = Infinity;
      stars.forEach((star, number) => {
        const [dx, dy] = this.at(star.reference).map((value, k) => value - here[k]);
        const along = dx * right + dy * down, aside = Math.abs(dx * down) + Math.abs(dy * right);
        const cost = along + 2 * aside;
        if (number !== chosen && along > 0 && cost < least) [best, least] = [number, cost];
      });
      return best;
    }
  }

  // ---- the spectrum --------------------------------------------------------------------------------------------

  const runs = (values, first, last) => {
    const found = [];
    for (let p = first, open = false; p < last; p++) {
      const good = Number.isFinite(values[p]);
      if (good && !open) found.push([p, p + 1]);
      else if (good) found.at(-1)[1] = p + 1;
      open = good;
    }
    return found;
  };

  function curve(values, x, y, [first, last], stepped = false) {
    let d = "";
    for (const [from, to] of runs(values, first, last)) {
      for (let p = from; p < to; p++) {
        const height = y(values[p]).toFixed(1), half = (wavelength[Math.min(p + 1, nPixels - 1)] - wavelength[p]) / 2;
        d += p === from ? "M" : "L";
        d += stepped ? `${x(wavelength[p] - half).toFixed(1)} ${height}L${x(wavelength[p] + half).toFixed(1)} ${height}`
          : `${x(wavelength[p]).toFixed(1)} ${height}`;
      }
    }
    return d;
  }

  function band(middle, sigma, x, y, [first, last]) {
    let d = "";
    for (const [from, to] of runs(sigma.map((one, p) => one + middle[p]), first, last)) {
      const edge = (p, side) => `${x(wavelength[p]).toFixed(1)} ${y(middle[p] + side * sigma[p]).toFixed(1)}`;
      const there = [], back = [];
      for (let p = from; p < to; p++) there.push(edge(p, 1)), back.unshift(edge(p, -1));
      d += `M${there.join("L")}L${back.join("L")}Z`;
    }
    return d;
  }

  function markLines(svg, x, top, bottom) {
    const inside = (line) => line > x.from[0] && line < x.from[1];
    for (const [name, lines] of data.features) {
      const here = lines.filter(inside);
      for (const line of here) draw(svg, "path", { class: "line", d: `M${x(line)} ${top}V${bottom}` });
      const place = here.reduce((sum, line) => sum + x(line) / here.length, 0);
      if (here.length) draw(svg, "text", { class: "line-name", x: place, y: top - 5, "text-anchor": "middle" }, name);
    }
    if (x.from[1] - x.from[0] > 1000) return;
    for (const line of data.dibs.filter(inside)) {
      draw(svg, "path", { class: "dib", d: `M${x(line)} ${top}V${bottom}` });
      draw(svg, "text", { class: "line-name dib-name", x: x(line), y: top - 5, "text-anchor": "middle" }, "DIB");
    }
  }

  const spectrum = {
    resize() {
      const box = root.querySelector(".explorer-spectrum");
      this.width = Math.max(box.clientWidth, NARROW);
      this.main = [this.width < 500 ? 210 : 280, 30];
      this.below = [this.main[0] + (this.width < 500 ? 90 : 110), this.main[0] + 12];
      this.svg = emptied(box.querySelector("svg"), this.width, this.below[0] + 42);
    },

    star() {
      const star = stars[chosen];
      Object.assign(this, observed(chosen), { fitted: predict(star.fitted) });
      this.sigma = this.error.map((error, p) => Math.sqrt(error ** 2 + scatter[p] ** 2));
      this.frame();
    },

    frame() {
      const [, low, high] = data.windows[part];
      const first = wavelength.findIndex((one) => one >= low), beyond = wavelength.findIndex((one) => one > high);
      this.pixels = [first, beyond < 0 ? nPixels : beyond];
      const within = (values) => values.subarray(...this.pixels);
      const ends = [range(within(this.flux), 0.004), range(within(this.fitted), 0.001)];
      const bottom = Math.min(ends[0][0], ends[1][0]), top = Math.max(ends[0][1], ends[1][1]);
      const room = 0.1 * (top - bottom) || 0.1;
      const most = Math.max(2.2, ...range(within(this.residual(this.fitted)), 0.002).map(Math.abs));
      this.x = scale([wavelength[this.pixels[0]], wavelength[this.pixels[1] - 1]], [52, this.width - 8]);
      this.y = scale([bottom - room, top + room], this.main);
      this.r = scale([-1.15 * most, 1.15 * most], this.below);
      this.still();
      this.move();
    },

    residual(model) {
      return this.flux.map((flux, p) => (flux - model[p]) / this.sigma[p]);
    },

    /** All that stays as it is while a slider moves. */
    still() {
      const { svg, x, y, r, pixels } = this, stepped = pixels[1] - pixels[0] < WHOLE;
      svg.replaceChildren();
      svg.classList.toggle("dense", !stepped);
      const clip = draw(draw(svg, "defs"), "clipPath", { id: "explorer-clip" });
      for (const [bottom, top] of [this.main, this.below]) {
        draw(clip, "rect", { x: x.to[0], y: top, width: x.to[1] - x.to[0], height: bottom - top });
      }
      markLines(svg, x, this.main[1], this.main[0]);
      const inside = draw(svg, "g", { "clip-path": "url(#explorer-clip)" });
      draw(inside, "path", { class: "band", d: band(this.fitted, this.sigma, x, y, pixels) });
      draw(inside, "rect", { class: "band", x: x.to[0], width: x.to[1] - x.to[0], y: r(1), height: r(-1) - r(1) });
      draw(inside, "path", { class: "data", d: curve(this.flux, x, y, pixels, stepped) });
      draw(inside, "path", { class: "model", d: curve(this.fitted, x, y, pixels) });
      draw(inside, "path", { class: "zero", d: `M${x.to[0]} ${r(0)}H${x.to[1]}` });
      draw(inside, "path", { class: "data", d: curve(this.residual(this.fitted), x, r, pixels, stepped) });
      this.moving = draw(inside, "g");
      frame(svg, x, y, [null, "normalized flux"], [6, 5]);
      frame(svg, x, r, ["rest-frame wavelength [Å]", "residual [σ]"], [this.width < 500 ? 4 : 7, 5]);
      sayIfSimulated(svg, x.to[1]);
      const [name, low, high] = data.windows[part];
      root.querySelector(".explorer-spectrum").setAttribute("aria-label",
        `${name}: observed spectrum of star ${stars[chosen].id}, best model and residuals, from ${low} to ${high} Å`);
    },

    move() {
      this.moving.replaceChildren();
      root.classList.toggle("explorer-moved", moved());
      if (!moved()) return;
      const model = predict(whatIf());
      draw(this.moving, "path", { class: "what-if", d: curve(model, this.x, this.y, this.pixels) });
      draw(this.moving, "path", { class: "what-if thin", d: curve(this.residual(model), this.x, this.r, this.pixels) });
    },

    /** χ² per pixel of any labels with the one model. */
    chi2(values) {
      const terms = this.residual(predict(values)).filter(Number.isFinite);
      return terms.reduce((sum, one) => sum + one ** 2, 0) / Math.max(terms.length - labels.length, 1);
    },
  };

  // ---- controls ------------------------------------------------------------------------------------------------

  let chosen = 0, part = 0;
  const one = (selector) => root.querySelector(selector);
  const sliders = () => [...root.querySelectorAll(".explorer-sliders input")];
  const moved = () => sliders().some((slider) => Number(slider.value) !== 0);
  const whatIf = () => sliders().map((slider, i) => stars[chosen].fitted[i] + Number(slider.value));

  function choose(number) {
    chosen = (number + stars.length) % stars.length;
    one("select").value = chosen;
    one(".explorer-announcement").textContent = inWords(stars[chosen]);
    setSliders();
    tabulate();
    spectrum.star();
    planes.forEach((plane) => plane.mark());
    sayChi2();
  }

  function setSliders() {
    const star = stars[chosen];
    sliders().forEach((slider, i) => {
      const { low, high, step, digits } = labels[i], value = star.fitted[i];
      slider.min = Math.min(0, Math.ceil((low - value) / step) * step).toFixed(digits);
      slider.max = Math.max(0, Math.floor((high - value) / step) * step).toFixed(digits);
      slider.value = 0;
      sayValue(slider, i);
    });
  }

  function sayValue(slider, i) {
    const label = labels[i], change = Number(slider.value), value = stars[chosen].fitted[i] + change;
    const text = `${fixed(value, label.digits)} ${label.unit}`;
    slider.nextElementSibling.innerHTML = `<b>${text}</b> <small>${change ? signed(change, label.digits) : "as fitted"}</small>`;
    slider.setAttribute("aria-valuetext", `${text}, ${change ? signed(change, label.digits) : "as fitted"}`);
  }

  function drawWhatIf() {
    spectrum.move();
    planes.forEach((plane) => plane.mark());
    sayChi2();
  }

  function sayChi2() {
    const best = spectrum.chi2(stars[chosen].fitted), text = fixed(best, 2);
    one(".explorer-chi2").textContent = moved()
      ? `χ² per pixel with these labels ${fixed(spectrum.chi2(whatIf()), 2)}, with those fitted ${text}.`
      : "Move a slider: the blue curve is the spectrum the star would then have.";
  }

  function reset() {
    sliders().forEach((slider, i) => { slider.value = 0; sayValue(slider, i); });
    drawWhatIf();
  }

  function takeReference() {
    const { reference, fitted } = stars[chosen];
    sliders().forEach((slider, i) => { slider.value = reference[i] - fitted[i]; sayValue(slider, i); });
    drawWhatIf();
  }

  function tabulate() {
    const star = stars[chosen];
    one("tbody").innerHTML = labels.map((label, i) => {
      const difference = star.fitted[i] - star.reference[i];
      return `<tr><th scope="row">${typeset(label.symbol)} <small>[${label.unit}]</small></th>
        <td>${fixed(star.reference[i], label.digits)}</td>
        <td>${fixed(star.fitted[i], errorDigits(label))} ± ${fixed(star.errors[i], errorDigits(label))}</td>
        <td>${signed(difference, label.digits)}</td></tr>`;
    }).join("");
    one(".explorer-facts").textContent = `S/N ${fixed(star.snr, 0)} · reduced χ² ${fixed(star.chi2, 2)}`;
  }

  function show(number) {
    part = number;
    root.querySelectorAll(".explorer-windows button").forEach((button, k) =>
      button.setAttribute("aria-pressed", k === number));
    spectrum.frame();
  }

  const highest = (value) => stars.reduce((best, star, k) => (value(star) > value(stars[best]) ? k : best), 0);
  const disagreement = (star) => Math.hypot(...star.fitted.map((value, i) => (value - star.reference[i]) / data.scales[i]));

  /** The star with the highest or lowest label by The Cannon, among the half with the higher S/N. */
  function extreme(name, sign) {
    const i = labels.findIndex((label) => label.name === name), middle = range(stars.map((star) => star.snr), 0.5)[0];
    return highest((star) => (star.snr < middle ? -Infinity : sign * star.fitted[i]));
  }

  // ---- the page ------------------------------------------------------------------------------------------------

  const PAGE = `
    <p id="explorer-help">Pick a star in a plane of labels with mouse or finger; or go there with Tab and walk from star
      to star with the arrow keys.</p>
    <div class="explorer-planes"></div>
    <p class="explorer-legend"><span class="key-star">stars to pick</span><span class="key-crowd">reference stars</span>
      <span class="key-fitted">its labels by The Cannon</span><span class="key-moved">labels of the sliders</span></p>
    <div class="explorer-choose">
      <button type="button" data-go="-1" aria-label="Previous star">‹</button>
      <label>Star <select></select></label>
      <button type="button" data-go="1" aria-label="Next star">›</button>
      <button type="button" class="explorer-random">Random star</button>
    </div>
    <div class="explorer-choose explorer-examples" role="group" aria-label="Examples"><span>Examples</span></div>
    <p class="explorer-announcement" role="status" aria-live="polite"></p>
    <div class="explorer-windows" role="group" aria-label="Part of the spectrum"></div>
    <div class="explorer-spectrum" role="img"><svg aria-hidden="true"></svg></div>
    <p class="explorer-legend"><span class="key-data">observed</span><span class="key-model">model</span>
      <span class="key-band">±1σ: reported error and scatter</span><span class="key-what-if">with the labels of the sliders</span></p>
    <div class="explorer-columns">
      <fieldset class="explorer-sliders"><legend>What if its labels were others?</legend>
        <div></div><p class="explorer-chi2"></p><p class="explorer-set"><button type="button" class="explorer-reset">Reset</button>
        <button type="button" class="explorer-reference">Take the reference labels</button></p></fieldset>
      <div><table><thead><tr><th scope="col">Label</th><th scope="col" class="against"></th>
        <th scope="col">The Cannon</th><th scope="col">difference</th></tr></thead><tbody></tbody></table>
        <p class="explorer-facts"></p></div>
    </div>`;

  const button = (text, place, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    place.append(made);
  };

  function fillControls() {
    one(".against").textContent = data.against;
    stars.forEach((star, k) => one("select").add(new Option(star.id, k)));
    const examples = one(".explorer-examples"), known = labels.map((label) => label.name);
    for (const [text, name, sign] of EXAMPLES.filter((example) => known.includes(example[1]))) {
      button(text, examples, () => choose(extreme(name, sign)));
    }
    button("noisy", examples, () => choose(highest((star) => -star.snr)));
    button("labels disagree", examples, () => choose(highest(disagreement)));
    data.windows.forEach(([name], k) => button(name, one(".explorer-windows"), () => show(k)));
    labels.forEach((label, i) => addSlider(label, i));
  }

  function addSlider(label, i) {
    const row = document.createElement("div");
    row.innerHTML = `<label for="explorer-${label.name}">${typeset(label.symbol)}</label>
      <input type="range" id="explorer-${label.name}" step="${label.step}" value="0"><output></output>`;
    row.querySelector("input").addEventListener("input", (event) => { sayValue(event.target, i); drawWhatIf(); });
    one(".explorer-sliders div").append(row);
  }

  function listen() {
    one("select").addEventListener("change", (event) => choose(Number(event.target.value)));
    root.querySelectorAll("[data-go]").forEach((arrow) =>
      arrow.addEventListener("click", () => choose(chosen + Number(arrow.dataset.go))));
    one(".explorer-random").addEventListener("click", () =>
      choose(chosen + 1 + Math.floor(Math.random() * (stars.length - 1))));
    one(".explorer-reset").addEventListener("click", reset);
    one(".explorer-reference").addEventListener("click", takeReference);
    new ResizeObserver(fit).observe(root);
  }

  function fit() {
    if (root.clientWidth === fit.width) return;
    fit.width = root.clientWidth;
    planes.forEach((plane) => { plane.resize(); plane.mark(); });
    spectrum.resize();
    spectrum.frame();
  }

  root.innerHTML = PAGE;
  fillControls();
  const planes = data.planes.map((axes) => new Plane(axes, one(".explorer-planes")));
  fit.width = root.clientWidth;
  planes.forEach((plane) => plane.resize());
  spectrum.resize();
  choose(highest((star) => -disagreement(star) - Math.abs(Math.log(star.snr / TYPICAL_SNR))));
  show(0);
  listen();
  data.predict = predict;
})();
