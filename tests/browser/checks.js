// What is wrong with the page that is open, as a list of {check, what}. Run by check_pages.py in a browser; the rules:
//   overflow  nothing reaches beyond the window, but in a box that scrolls
//   cut       no text is cut off by a box or a drawing
//   overlap   no text lies on another
//   contrast  4.5:1 for text (3:1 for large one), 3:1 for marks of drawings. Not counted: what is graded by its shade
//             (cells of matrices), single seeds behind their mean, rules and tracks behind marks
//   headings  one h1, first; no level is left out
//   names     pictures, drawings and controls say what they are
(() => {
  const problems = [];
  const tell = (check, what) => problems.push({check, what: what.slice(0, 160)});
  for (const d of document.querySelectorAll('details')) d.open = true;

  const name = (e) => `<${e.tagName.toLowerCase()}${e.getAttribute('class') ? ' class=' + e.getAttribute('class') : ''}>`;
  const unseen = (e) => e.closest('.unseen, title, desc, style, script') !== null;
  const scrolls = (e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);

  // Texts and the boxes of their lines.
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const e = node.parentElement;
    if (!node.textContent.trim() || unseen(e) || getComputedStyle(e).visibility === 'hidden') continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width > 0.5 && box.height > 0.5) texts.push({e, box, text: node.textContent.trim()});
  }

  // overflow
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) tell('overflow', `the page is ${document.documentElement.scrollWidth} wide, the window ${wide}`);
  const boxed = (e) => { for (let a = e; a; a = a.parentElement) if (scrolls(a)) return true; return false; };
  for (const e of document.body.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if (box.width > 1 && box.height > 1 && box.right > wide + 1 && !boxed(e) && !unseen(e)) tell('overflow', `${name(e)} ends at ${box.right}`);
  }

  // cut
  for (const {e, box, text} of texts) {
    for (let a = e; a && a !== document.body; a = a.parentElement) {
      const style = getComputedStyle(a);
      const hides = (v) => v === 'hidden' || v === 'clip';
      if (!hides(style.overflowX) && !hides(style.overflowY)) { if (scrolls(a)) break; else continue; }
      const b = a.getBoundingClientRect();
      if (box.left < b.left - 1.5 || box.right > b.right + 1.5 || box.top < b.top - 4 || box.bottom > b.bottom + 4)
        tell('cut', `"${text}" by ${name(a)}`);
    }
    if (box.left < -0.5) tell('cut', `"${text}" begins left of the page`);
    const svg = e.closest('svg');
    if (svg) {
      const b = svg.getBoundingClientRect();
      if (box.left < b.left - 1.5 || box.right > b.right + 1.5 || box.top < b.top - 3 || box.bottom > b.bottom + 3)
        tell('cut', `"${text}" reaches out of its drawing`);
    }
  }

  // overlap: boxes of lines are taller than letters, so each is taken smaller
  const small = texts.map(({e, box, text}) => {
    const d = 0.2 * Math.min(box.width, box.height);
    return {e, text, l: box.left + d, r: box.right - d, t: box.top + d, b: box.bottom - d};
  }).sort((a, b) => a.t - b.t);
  for (let i = 0; i < small.length; ++i)
    for (let k = i + 1; k < small.length && small[k].t < small[i].b; ++k) {
      const a = small[i], b = small[k];
      if (a.l < b.r && b.l < a.r && a.e !== b.e) tell('overlap', `"${a.text}" and "${b.text}"`);
    }

  // contrast
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return a === 0 ? [0, 0, 0, 0] : [r, g, b, a / 255];
  };
  const over = (top, alpha, under) => under.map((u, i) => top[i] * alpha + u * (1 - alpha));
  const ground = (e) => {
    const layers = [];
    for (let a = e; a; a = a.parentElement) {
      const c = rgba(getComputedStyle(a).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] > 0.999) break;
    }
    return layers.reverse().reduce((under, c) => over(c, c[3], under), rgba(getComputedStyle(document.body).backgroundColor).slice(0, 3));
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const x = light(a), y = light(b); return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const seen = new Map();
  const contrast = (e, paint, opacity, under, least, what) => {
    const c = rgba(paint);
    if (c[3] === 0) return;
    const r = ratio(over(c, c[3] * opacity, under), under);
    if (r < least) { const key = `${what}: ${r.toFixed(2)}`; if (!seen.has(key)) { seen.set(key, 1); tell('contrast', key); } }
  };
  const opacity = (e) => { let o = 1; for (let a = e; a; a = a.parentElement) o *= +getComputedStyle(a).opacity; return o; };
  for (const {e, text} of texts) {
    const style = getComputedStyle(e), svg = e.closest('svg');
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && +style.fontWeight >= 700);
    contrast(e, svg ? style.fill : style.color, opacity(e) * (svg ? +style.fillOpacity : 1), ground(svg ? svg.parentElement : e), large ? 3 : 4.5, `text "${text}"`);
  }
  let marks = 0;
  for (const e of document.querySelectorAll('svg circle, svg rect, svg line, svg polyline, svg path')) {
    if (e.closest('.heat, .axis, .seed, .labels') || e.matches('.track, .frame, .zero')) continue;
    const style = getComputedStyle(e), svg = e.closest('svg'), frame = svg.querySelector('.frame');
    const under = frame ? over(rgba(getComputedStyle(frame).fill), 1, ground(svg.parentElement)) : ground(svg.parentElement);
    const filled = style.fill !== 'none' && !e.matches('line, polyline');
    ++marks;
    if (filled) contrast(e, style.fill, opacity(e) * +style.fillOpacity, under, 3, `mark ${name(e)} in ${name(svg)}`);
    else if (style.stroke !== 'none') contrast(e, style.stroke, opacity(e) * +style.strokeOpacity, under, 3, `mark ${name(e)} in ${name(svg)}`);
  }
  for (const e of document.querySelectorAll('.swatch')) { ++marks; contrast(e, getComputedStyle(e).backgroundColor, 1, ground(e.parentElement), 3, 'swatch'); }

  // headings
  const levels = [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((h) => +h.tagName[1]);
  if (levels[0] !== 1 || levels.filter((l) => l === 1).length !== 1) tell('headings', `expected one h1, first; found ${levels.join(' ')}`);
  levels.forEach((l, i) => { if (i > 0 && l > levels[i - 1] + 1) tell('headings', `h${l} behind h${levels[i - 1]}`); });

  // names
  if (!document.documentElement.lang) tell('names', 'the page says no language');
  if (!document.title) tell('names', 'the page has no title');
  for (const e of document.querySelectorAll('img')) if (!e.alt.trim()) tell('names', 'a picture without alt');
  for (const e of document.querySelectorAll('svg')) {
    if (e.getAttribute('aria-hidden') === 'true') continue;
    const t = e.querySelector('title');
    if (e.getAttribute('role') !== 'img' || !t || !t.textContent.trim()) tell('names', `a drawing ${name(e)} without a title`);
  }
  for (const e of document.querySelectorAll('a[href], button, summary, input, [tabindex="0"]'))
    if (!(e.textContent.trim() || e.getAttribute('aria-label'))) tell('names', `a control ${name(e)} without a name`);
  return {problems, texts: texts.length, marks};
})()
