// Runs in the page. First mends the layout (what does not fit goes), then reads the labels off it.
// A label is an element with data-l="class". Its parts are the rectangles of its text lines and pictures, so that boxes
// are tight around the ink and can be turned with a scan exactly. Units: CSS pixels from the sheet's top left corner.
(() => {
  const SLACK = 1.5;
  const canvas = document.createElement('canvas').getContext('2d');
  const metrics = new Map();
  const fonts = new WeakMap();  // element -> its CSS font: asking for computed styles is what costs time here
  const flows = new Map();  // flow -> its geometry, until something is removed

  // Where ink lies in a font's line: distances from the top of the inline box. Fonts reserve very different space above
  // and below their letters (Noto half as much again as Liberation); labels must not follow that.
  function ink(node) {
    if (!fonts.has(node.parentElement)) {
      const style = getComputedStyle(node.parentElement);
      fonts.set(node.parentElement, `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`);
    }
    const font = fonts.get(node.parentElement);
    const sample = /[^\u0000-\u024f]/.test(node.data) ? node.data.slice(0, 40) : 'bdhklpgqy';
    const key = font + (sample.length === 9 ? '' : sample);
    if (!metrics.has(key)) {
      canvas.font = font;
      const m = canvas.measureText(sample);
      const ascent = Math.round(m.fontBoundingBoxAscent);
      metrics.set(key, [ascent - m.actualBoundingBoxAscent, ascent + m.actualBoundingBoxDescent]);
    }
    return metrics.get(key);
  }

  // The multi-column box an element flows in, or null.
  const flowOf = (element) => element.closest('.flow');
  function columnOf(flow, x) {
    if (!flows.has(flow)) {
      const box = flow.getBoundingClientRect();
      const style = getComputedStyle(flow);
      const count = parseInt(style.columnCount) || 1;
      const gap = parseFloat(style.columnGap) || 0;
      flows.set(flow, { box, count, gap, pitch: (box.width + gap) / count });
    }
    const { box, count, gap, pitch } = flows.get(flow);
    const index = Math.floor((x - box.left + gap / 2) / pitch);
    return { index, count, left: box.left + index * pitch, right: box.left + index * pitch + pitch - gap, box };
  }

  function textRects(element) {
    const rects = [];
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (!node.data.trim() || node.parentElement.closest('svg, math')) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const [top, bottom] = ink(node);
      for (const r of range.getClientRects()) {
        if (r.width > 0.5) rects.push([r.left, r.top + top, r.right, r.top + bottom]);
      }
    }
    return rects;
  }

  const edges = (r) => [r.left, r.top, r.right, r.bottom];
  function pictureRects(element) {
    const rects = [];
    const all = element.matches('img, svg, .ink') ? [element] : element.querySelectorAll('img, svg, .ink');
    for (const item of all) {
      if (item.parentElement.closest('svg')) continue;
      const own = edges(item.getBoundingClientRect());
      const clear = getComputedStyle(item).backgroundColor === 'rgba(0, 0, 0, 0)';
      const group = clear && item.tagName === 'svg' ? item.querySelector(':scope > g') : null;
      if (group) {
        const g = group.getBoundingClientRect();
        own.splice(0, 4, Math.max(own[0], g.left), Math.max(own[1], g.top), Math.min(own[2], g.right), Math.min(own[3], g.bottom));
      }
      rects.push(own);
    }
    for (const token of element.querySelectorAll('mi, mn, mo, mtext, mfrac, msqrt')) {
      const r = token.getBoundingClientRect();
      if (r.width > 0.5) rects.push(edges(r));
    }
    return rects;
  }

  // A table with lines or shading is its rows; one without is its text.
  function partsOf(element) {
    if (element.dataset.l === 'table' && element.classList.contains('ruled')) {
      return Array.from(element.querySelectorAll('tr'), (row) => Array.from(row.getClientRects(), edges)).flat();
    }
    return textRects(element).concat(pictureRects(element));
  }

  const labelled = (root) => Array.from(root.querySelectorAll('[data-l]')).filter((e) => !e.parentElement.closest('[data-l]'));

  // Parts by the column they stand in; columns past the last one are clipped, so they do not count.
  function fragments(element) {
    const flow = flowOf(element);
    const byColumn = new Map();
    for (const part of partsOf(element)) {
      let index = 0;
      if (flow) {
        const column = columnOf(flow, (part[0] + part[2]) / 2);
        if (column.index < 0 || column.index >= column.count) continue;
        index = column.index;
      }
      if (!byColumn.has(index)) byColumn.set(index, []);
      byColumn.get(index).push(part);
    }
    return Array.from(byColumn.values());
  }

  const hull = (parts) => parts.reduce((a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])]);

  // True when a part is cut by its column, its flow or its sheet, or runs into the next column.
  function misfits(element, sheet) {
    const flow = flowOf(element);
    const outer = (flow ? null : element.closest('.main, .half')) || element.closest('.half') || sheet;
    const limit = outer.getBoundingClientRect();
    const slack = outer.matches('.main') ? 4 : 0;
    for (const parts of fragments(element)) {
      const box = hull(parts);
      if (box[0] < limit.left - slack || box[1] < limit.top - slack || box[2] > limit.right + slack || box[3] > limit.bottom + slack) return true;
      if (!flow) continue;
      const column = columnOf(flow, (parts[0][0] + parts[0][2]) / 2);
      if (box[2] > column.right + 4 * SLACK || box[0] < column.left - 4 * SLACK - 22) return true;
      if (box[3] > column.box.bottom + 2 * SLACK || box[1] < column.box.top - 2 * SLACK) return true;
    }
    return false;
  }

  // Two labels never share ink: of an overlapping pair the later one goes (a floating note on a heading, say).
  function collisions(sheet) {
    const seen = [], gone = [];
    for (const element of labelled(sheet)) {
      const boxes = fragments(element).map(hull);
      const hit = boxes.some((b) => seen.some((s) => {
        const w = Math.min(b[2], s[2]) - Math.max(b[0], s[0]), h = Math.min(b[3], s[3]) - Math.max(b[1], s[1]);
        return w > 1 && h > 1 && w * h > 0.06 * Math.min((b[2] - b[0]) * (b[3] - b[1]), (s[2] - s[0]) * (s[3] - s[1]));
      }));
      if (hit) gone.push(element); else seen.push(...boxes);
    }
    return gone;
  }

  // What cannot stay takes its wrapper along, so that no frame or caption of it is left behind. Outside a flow a picture
  // stays without its caption: there it has its own place.
  function remove(element) {
    flows.clear();
    if (element.dataset.l === 'caption' && !flowOf(element)) return element.remove();
    (element.closest('.unit') || element).remove();
  }

  // A table stands in one column: rows that went on in the next one are cut off. (Chromium paints the pieces of a broken
  // table elsewhere in print than it reports.) Fewer than three rows are no table.
  function trim(sheet) {
    for (const table of sheet.querySelectorAll('.flow table')) {
      const flow = flowOf(table);
      const box = table.getBoundingClientRect();
      const room = columnOf(flow, box.left + 1);
      // Only a table that is too wide may break within words: else a long text would squeeze the numbers beside it.
      if (box.width > room.right - room.left + 2) table.style.overflowWrap = 'anywhere';
      const rows = Array.from(table.rows);
      const column = (row) => Array.from(row.getClientRects(), (r) => columnOf(flow, (r.left + r.right) / 2).index);
      const first = column(rows[0])[0];
      const rest = rows.filter((row) => column(row).some((index) => index !== first));
      if (!rest.length) continue;
      if (rows.length - rest.length < 3) remove(table); else rest.forEach((row) => row.remove());
      flows.clear();
    }
  }

  function mend(sheet) {
    for (let round = 0; round < 6; round++) {
      trim(sheet);
      const bad = labelled(sheet).filter((e) => misfits(e, sheet));
      // Later misfits may fit once the first is gone: one per flow and round, except in the last rounds.
      const touched = new Set();
      const now = bad.filter((e) => { const f = flowOf(e); if (!f || round > 3) return true; if (touched.has(f)) return false; touched.add(f); return true; });
      if (!now.length) break;
      now.forEach(remove);
    }
    for (const flow of sheet.querySelectorAll('.flow')) {
      flow.style.height = flow.getBoundingClientRect().height + 'px';
      flow.style.flex = 'none';
    }
    flows.clear();
    collisions(sheet).forEach(remove);
    for (const flow of sheet.querySelectorAll('.flow')) prune(flow);
  }

  // Drops what lies wholly in the clipped columns: it only costs time to print. All at once, since a heading that was
  // kept with its paragraph would come back into sight as soon as the paragraph alone is gone.
  function prune(flow) {
    const seen = (r) => { const c = columnOf(flow, (r.left + r.right) / 2); return c.index >= 0 && c.index < c.count; };
    const children = Array.from(flow.children);
    const last = children.findLastIndex((child) => Array.from(child.getClientRects()).some(seen));
    children.slice(last + 1).forEach((child) => child.remove());
  }

  const sheets = [];
  for (const sheet of document.querySelectorAll('.sheet')) {
    mend(sheet);
    const origin = sheet.getBoundingClientRect();
    const boxes = [];
    for (const element of labelled(sheet)) {
      for (const parts of fragments(element)) {
        boxes.push({ label: element.dataset.l, parts: parts.map((p) => [p[0] - origin.left, p[1] - origin.top, p[2] - origin.left, p[3] - origin.top]) });
      }
    }
    sheets.push({ width: origin.width, height: origin.height, boxes });
  }
  return sheets;
})()
