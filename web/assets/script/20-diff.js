// The diff in place: lines, files, filter, viewed marks, links to lines. Each is a page without it.
(() => {
  'use strict';
  const doc = document, $ = (s, in_ = doc) => in_.querySelector(s), $$ = (s, in_ = doc) => [...in_.querySelectorAll(s)];
  const made = (html) => { const t = doc.createElement('template'); t.innerHTML = html; return t.content; };
  const load = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(answer.statusText);
    return made(await answer.text());
  };
  const busy = new WeakSet();
  const once = async (e, f, instead) => {
    if (busy.has(e)) return;
    busy.add(e);
    try { await f(); } catch { busy.delete(e); if (instead) location.assign(instead); }
  };

  // ---- hidden lines, and files that were left out ----
  const more = (a) => once(a, async () => {
    const row = a.closest('tr'), rows = await load(a.closest('table').dataset.lines + '&gap=' + a.dataset.gap);
    const first = $('td.n [name=comment], td.n a', rows);
    row.replaceWith(rows);
    if (first) first.focus({ preventScroll: true });
  }, a.href);
  const whole = (file, instead) => once(file, async () => {
    const fresh = (await load(file.dataset.load)).firstElementChild;
    file.replaceWith(fresh);
    if (instead) { $('details', fresh).open = true; $('summary', fresh).focus({ preventScroll: true }); }
  }, instead);
  const near = new IntersectionObserver((all) => all.forEach((e) => {
    if (e.isIntersecting && $('details', e.target).open) { near.unobserve(e.target); whole(e.target); }
  }), { rootMargin: '600px' });
  $$('.file.later').forEach((f) => near.observe(f));

  // ---- the filter ----
  const filter = $('#filter');
  const sift = () => {
    const text = filter.value.toLowerCase();
    for (const leaf of $$('.tree .leaf')) {
      const file = doc.getElementById($('a', leaf).hash.slice(1));
      leaf.hidden = !!file && !$('.path', file).textContent.toLowerCase().includes(text);
      if (file) file.hidden = leaf.hidden;
    }
    $$('.tree details').reverse().forEach((d) => { d.parentElement.hidden = !$$('.leaf', d).some((l) => !l.hidden); });
  };
  if (filter) filter.addEventListener('input', sift);
  if (filter) filter.form.addEventListener('submit', (e) => { if ($$('.tree .leaf').length) e.preventDefault(); });

  // ---- viewed ----
  const view = async (b) => {
    const on = b.name === 'view', form = doc.getElementById('seen'), values = new URLSearchParams(new FormData(form));
    values.set(b.name, b.value);
    const answer = await fetch(form.action, { method: 'POST', body: values, redirect: 'manual' });
    if (answer.type !== 'opaqueredirect') { location.reload(); return; }
    const file = b.closest('.file'), leaf = $('.leaf a[href="#' + file.id + '"]');
    b.name = on ? 'unview' : 'view';
    b.setAttribute('aria-pressed', on);
    $('path', b).setAttribute('d', on ? 'm5.2 8.2 2 2 3.6-4.2' : 'M5.2 8h5.6');
    $('details', file).open = !on;
    if (leaf) leaf.parentElement.classList.toggle('seen', on);
    const count = $('#viewed-count b');
    if (count) count.textContent = $$('button.view[aria-pressed=true]').filter((e) => e.value !== '/COMMIT_MSG').length;
  };

  // ---- a link to a line: this patch set against that one, for ever ----
  const place = (id) => {
    const m = /^(f\d+|msg)([LR]\d+)$/.exec(id), file = m && doc.getElementById(m[1]), ps = $('#ps'), base = $('#base');
    if (!file || !ps) return '';
    const path = m[1] === 'msg' ? '/COMMIT_MSG' : $('.path', file).lastChild.textContent;
    return location.pathname + '?' + new URLSearchParams({ ps: ps.value, base: base.value, at: path + ':' + m[2] }) + '#' + id;
  };
  doc.addEventListener('click', (e) => {
    const hit = (s) => e.target.closest(s);
    let b;
    if (e.ctrlKey || e.metaKey || e.shiftKey) return;
    if ((b = hit('.more a')) && b.closest('table[data-lines]')) { e.preventDefault(); more(b); }
    else if ((b = hit('a[data-show]')) && b.closest('.file[data-load]')) { e.preventDefault(); whole(b.closest('.file'), b.href); }
    else if ((b = hit('button.view'))) { e.preventDefault(); view(b); }
    else if ((b = hit('td.n a')) && place(b.parentElement.id)) { e.preventDefault(); history.replaceState(null, '', place(b.parentElement.id)); location.hash = b.hash; }
    else if ((b = hit('td.n button'))) setTimeout(() => { // after the form has opened
      const address = place(b.parentElement.id), row = b.closest('tr').nextElementSibling, acts = row && $('.write .acts', row);
      if (!address || !acts || $('.linkto', acts)) return;
      const a = doc.createElement('a');
      a.href = address; a.textContent = tr('Link to this line'); a.className = 'linkto';
      acts.append(a);
    });
  });
  doc.addEventListener('keydown', (e) => {
    const b = e.key === 'v' && !(e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input, textarea, select')) && $('.file.here button.view');
    if (b) { e.preventDefault(); view(b); }
  });
  doc.addEventListener('input', (e) => {
    if (e.target.matches('.look input[type=range]')) e.target.closest('.pictures').style.setProperty('--at', e.target.value + '%');
  });
})();
