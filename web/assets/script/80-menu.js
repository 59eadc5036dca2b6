// The menu (Ctrl or Cmd and K) of what the page has, clicked as by hand.
(() => {
  'use strict';
  const doc = document, id = (name) => doc.getElementById(name), [menu, find, list, said] = ['menu', 'menu-find', 'menu-list', 'menu-said'].map(id);
  const most = 60; // rows shown at once
  const text = (e) => (e.ariaLabel || e.innerText).replace(/\s+/g, ' ').trim();
  const place = (e) => {
    const part = e.closest('.file, nav, section'), head = part && (part.ariaLabel ? part : part.querySelector('.path, h2'));
    return head ? text(head) : '';
  };
  let all = [], shown = [], at = 0;
  const gather = () => {
    const seen = new Set();
    all = [];
    for (const e of doc.querySelectorAll('a[href], button, .file > header summary')) {
      if (e.disabled || e.closest('dialog, .tree, td.n, #log, .copy, .skip') || !(e.checkVisibility() || e.closest('.menu'))) continue;
      const words = text(e.querySelector('.path') || e), file = e.matches('summary'), where = file ? tr('File') : place(e), key = words + (e.href || where);
      if (words && !seen.has(key)) all.push({ e, words, where, file, low: (words + ' ' + where).toLowerCase() });
      seen.add(key);
    }
  };
  const mark = (n) => {
    at = n;
    [...list.children].forEach((e, i) => { e.ariaSelected = i === at; });
    find.setAttribute('aria-activedescendant', shown.length ? 'menu-' + at : '');
    if (shown.length) list.children[at].scrollIntoView({ block: 'nearest' });
  };
  const draw = () => {
    const words = find.value.toLowerCase().trim().split(/\s+/), found = all.filter((i) => words.every((w) => i.low.includes(w)));
    shown = found.slice(0, most);
    list.replaceChildren(...shown.map((i, n) => {
      const row = doc.createElement('li'), where = doc.createElement('span');
      row.id = 'menu-' + n; row.role = 'option';
      where.className = 'muted'; where.textContent = i.where;
      row.append(i.words + ' ', where);
      row.onclick = () => run(i);
      return row;
    }));
    list.hidden = !shown.length;
    said.textContent = tr('{1} found', found.length);
    mark(0);
  };
  const run = (i) => {
    menu.close();
    i.e.focus();
    if (i.file) i.e.parentElement.open = true; else i.e.click();
  };
  const show = () => {
    gather();
    find.value = '';
    menu.showModal();
    draw();
  };
  doc.addEventListener('keydown', (e) => {
    if (e.key !== 'k' || !(e.ctrlKey || e.metaKey)) return;
    e.preventDefault();
    show();
  });
  id('menu-open').onclick = show; // for who has no keys
  find.oninput = draw;
  find.onkeydown = (e) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (!shown.length || e.isComposing || !by && e.key !== 'Enter') return;
    e.preventDefault();
    if (by) mark((at + by + shown.length) % shown.length); else run(shown[at]);
  };
})();
