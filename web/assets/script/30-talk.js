// Comments in place: forms open under their lines and threads, a range is picked with shift.
'use strict';
(() => {
  const doc = document, $ = (s, in_ = doc) => in_.querySelector(s), $$ = (s, in_ = doc) => [...in_.querySelectorAll(s)];
  const fields = (form, values) => { for (const [name, value] of Object.entries(values)) form.elements[name].value = value; };
  const blank = (values) => {
    const form = $('#write').content.firstElementChild.cloneNode(true), id = 'body-new-' + Object.values(values).join('-');
    fields(form, values);
    $('textarea', form).id = id;
    $('label', form).htmlFor = id;
    return form;
  };
  const place = (form, file, from, to, chars = [0, 0]) => {
    fields(form, { start: from, line: to, from_char: chars[0], to_char: chars[1] });
    const link = $('[data-suggest]', form), at = new URL(location), f = form.elements;
    if (link && f.side.value !== 'new') link.remove();
    else if (link) {
      for (const [name, value] of Object.entries({ comment: 'R' + to, on: f.path.value, start: from, suggest: 1 })) at.searchParams.set(name, value);
      at.hash = 'comment';
      link.href = at;
    }
    $('.where', form).textContent = from === to ? tr('{1}, line {2}', $('.path', file).textContent, to) : tr('{1}, lines {2} to {3}', $('.path', file).textContent, from, to);
  };

  // ---- a part of a line, or of several: what is selected ----
  const letters = (cell, node, offset) => { // how many characters of the code stand before a place
    const r = doc.createRange();
    r.selectNodeContents(cell);
    r.setEnd(node, offset);
    const part = r.cloneContents();
    $$('.moved, .noeol', part).forEach((e) => e.remove());
    $$('.hid', part).forEach((e) => { e.textContent = '?'; });
    return [...part.textContent].length;
  };
  const numberOf = (cell) => {
    for (let e = cell.previousElementSibling; e && e.matches('td.n'); e = e.previousElementSibling) if ($('[name=comment]', e)) return $('[name=comment]', e);
    return null;
  };
  const picked = () => {
    const s = getSelection(), r = s.rangeCount && !s.isCollapsed && s.getRangeAt(0);
    if (!r) return null;
    const [a, b] = [r.startContainer, r.endContainer].map((n) => (n.closest ? n : n.parentElement).closest('.file td.c'));
    const [from, to] = [a, b].map((c) => c && numberOf(c));
    if (!from || !to || from.form !== to.form || from.value[0] !== to.value[0]) return null;
    const chars = [letters(a, r.startContainer, r.startOffset), letters(b, r.endContainer, r.endOffset)];
    return chars[1] && { to, first: Number(from.value.slice(1)), chars, box: r.getBoundingClientRect() };
  };
  const onThis = doc.createElement('button');
  onThis.type = 'button'; onThis.className = 'onthis'; onThis.hidden = true; onThis.textContent = tr('Comment on this');
  doc.body.append(onThis);
  let pick = null, later = 0;
  const offer = () => {
    pick = $('#write') ? picked() : null;
    onThis.hidden = !pick;
    if (pick) { onThis.style.left = Math.max(8, pick.box.left + scrollX) + 'px'; onThis.style.top = pick.box.bottom + scrollY + 4 + 'px'; }
  };
  doc.addEventListener('selectionchange', () => { clearTimeout(later); later = setTimeout(offer, 150); });
  onThis.addEventListener('mousedown', (e) => e.preventDefault()); // keeps what is selected
  const commentOnThis = (p) => {
    commentOn(p.to, false);
    const form = $('form', p.to.closest('tr').nextElementSibling);
    place(form, p.to.closest('.file'), p.first, Number(p.to.value.slice(1)), p.chars);
    getSelection().removeAllRanges();
    $('textarea', form).focus();
  };
  onThis.addEventListener('click', () => pick && commentOnThis(pick));
  doc.addEventListener('keydown', (e) => {
    const p = e.key === 'c' && !e.ctrlKey && !e.metaKey && !e.altKey && $('#write') && picked();
    if (p) { e.preventDefault(); e.stopImmediatePropagation(); commentOnThis(p); }
  }, true);
  doc.addEventListener('input', (e) => { // other lines: the characters were of these
    if (e.target.matches('.write input[type=number]')) fields(e.target.form, { from_char: 0, to_char: 0 });
  });

  let last = null; // the line that was clicked last: shift picks from there
  const commentOn = (button, extend) => {
    const row = button.closest('tr'), file = button.closest('.file'), line = Number(button.value.slice(1)), side = button.value[0] === 'L' ? 'old' : 'new';
    const path = button.form.elements.on.value, same = last && last.file === file && last.side === side && last.form.isConnected;
    if (extend && same) {
      place(last.form, file, Math.min(last.line, line), Math.max(last.line, line));
      if (line > last.line) row.after(last.form.closest('tr'));
      $('textarea', last.form).focus();
      return;
    }
    const next = row.nextElementSibling;
    if (next && next.classList.contains('new')) { $('textarea', next).focus(); return; }
    const tr = doc.createElement('tr'), td = doc.createElement('td'), form = blank({ path, side });
    place(form, file, line, line);
    tr.className = 'talk new';
    td.colSpan = row.children.length;
    td.append(form);
    tr.append(td);
    row.after(tr);
    last = { file, side, line, form };
    $('textarea', td).focus();
  };
  const reply = (link, quote) => {
    const foot = link.closest('footer'), form = blank({ reply_to: quote || link.dataset.reply }), text = $('textarea', form);
    $('label', form).textContent = tr('Answer');
    $('[data-suggest]', form).remove();
    form.elements.unresolved.checked = false;
    if (quote) {
      const note = $$('.note:not(.draft)', foot.parentElement).pop();
      text.value = $$('.prose', note).map((e) => e.innerText.trim()).join('\n').split('\n').map((l) => ('> ' + l).trim()).join('\n') + '\n\n';
    }
    foot.hidden = true;
    foot.after(form);
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  };
  const cancel = (button) => {
    const form = button.closest('form'), row = form.closest('tr.new'), foot = form.previousElementSibling;
    if (row) row.remove();
    else if (foot && foot.tagName === 'FOOTER') { foot.hidden = false; form.remove(); } else return false;
    return true;
  };
  doc.addEventListener('click', (e) => {
    const hit = (s) => e.target.closest(s);
    let b;
    if (e.ctrlKey || e.metaKey || !$('#write')) return;
    if ((b = hit('button[name=comment]'))) { e.preventDefault(); commentOn(b, e.shiftKey); }
    else if (e.shiftKey) return;
    else if ((b = hit('a[data-reply]'))) { e.preventDefault(); reply(b); }
    else if ((b = hit('a[data-quote]'))) { e.preventDefault(); reply(b, b.dataset.quote); }
    else if ((b = hit('.write .cancel')) && cancel(b)) e.preventDefault();
  });

  const unfold = (e) => {
    for (let d = e.closest('details:not([open])'); d; d = d.closest('details:not([open])')) d.open = true;
    const file = e.closest('.file');
    if (file) $('details', file).open = true;
  };

  // N and P go from thread to thread; Ctrl and Enter press the first button of a form.
  let here = null;
  doc.addEventListener('keydown', (e) => {
    if ((e.key === 'N' || e.key === 'P') && !e.ctrlKey && !e.metaKey && !e.altKey && !e.target.matches('input, textarea, select') && !$('dialog[open]')) {
      const all = $$('.thread'), at = all.indexOf(here), to = all[Math.min(Math.max(at + (e.key === 'N' ? 1 : -1), 0), all.length - 1)];
      if (!to) return;
      here = to;
      unfold(to.parentElement);
      const stop = $('summary, .by a', to);
      to.scrollIntoView({ block: 'center' });
      if (stop) stop.focus({ preventScroll: true });
    }
    if (e.key !== 'Enter' || !(e.ctrlKey || e.metaKey) || !e.target.matches('textarea')) return;
    const b = $('button.main', e.target.form);
    if (b) { e.preventDefault(); b.click(); }
  });

  // A resolved thread that is linked to opens.
  const show = () => {
    const at = location.hash.length > 1 && doc.getElementById(location.hash.slice(1));
    if (!at || !at.closest('.thread')) return;
    unfold(at);
    at.scrollIntoView({ block: 'center' });
  };
  addEventListener('hashchange', show);
  show();
})();
