// The script of Gatehouse's pages. Everything it does, the pages can do without it, more
// slowly: it opens comment forms in place, answers keys, and swaps in the parts that the
// server says have changed. It never makes HTML of its own from data.
'use strict';
// What the script says, in the language of the page.
const told = JSON.parse(document.body.dataset.words || '{}');
const tr = (text, ...places) => (told[text] || text).replace(/\{(\d)\}/g, (m, n) => places[n - 1]);
(() => {
  const doc = document, body = doc.body, $ = (s, in_ = doc) => in_.querySelector(s), $$ = (s, in_ = doc) => [...in_.querySelectorAll(s)];
  doc.documentElement.classList.add('js');

  // ---- times stay true ----
  const age = (t) => {
    const s = (Date.now() - t) / 1000, a = Math.abs(s), d = Math.floor(a / 86400);
    if (a >= 30 * 86400) return null;
    if (doc.documentElement.lang !== 'en') {
      const [by, unit] = a < 3600 ? [60, 'minute'] : a < 86400 ? [3600, 'hour'] : [86400, 'day'];
      return new Intl.RelativeTimeFormat(doc.documentElement.lang, { numeric: 'auto' }).format(-Math.trunc(s / by), unit);
    }
    if (s >= 0 && s < 60) return 'just now';
    const text = a < 3600 ? Math.max(1, Math.floor(a / 60)) + ' min' : a < 86400 ? Math.floor(a / 3600) + ' h' : d + (d === 1 ? ' day' : ' days');
    return s < 0 ? 'in ' + text : text + ' ago';
  };
  const times = () => $$('time[datetime]').forEach((e) => {
    const text = age(Date.parse(e.dateTime));
    if (text && e.textContent !== text) e.textContent = text;
  });
  setInterval(times, 30000);

  // ---- parts that the server renews ----
  const bare = (html) => html.replace(/(<time[^>]*>)[^<]*/g, '$1').replace(/ open=""/g, '');
  const say = (text) => { const e = $('#say'); if (e && text && e.textContent !== text) e.textContent = text; };
  const renew = (html) => {
    const box = doc.createElement('template'), typing = doc.activeElement.matches('textarea, input') && doc.activeElement;
    const top = typing && typing.getBoundingClientRect().top, stood = stops();
    box.innerHTML = html;
    for (const fresh of [...box.content.children]) {
      const old = fresh.id && doc.getElementById(fresh.id);
      copies(fresh); // as the old one has them
      if (!old || bare(old.outerHTML) === bare(fresh.outerHTML)) continue;
      const active = old.contains(doc.activeElement) ? doc.activeElement : null;
      if (active && /^(TEXTAREA|INPUT|SELECT)$/.test(active.tagName)) continue; // never under somebody's hands
      for (const d of $$('details[id]', old)) {
        const same = fresh.querySelector('#' + CSS.escape(d.id));
        if (same) same.open = d.open;
      }
      old.replaceWith(fresh);
      if (active && active.id && doc.getElementById(active.id)) doc.getElementById(active.id).focus();
      say(fresh.dataset.say);
    }
    times();
    doc.dispatchEvent(new Event('renewed')); // for the scripts beside this one
    glide(stood);
    if (typing) scrollBy(0, typing.getBoundingClientRect().top - top); // what is written stays where it is
  };

  // ---- a queue: stops glide to their new places, the clocks of runs go on ----
  const stops = () => new Map($$('.stop').map((e) => [e.id, e.getBoundingClientRect().top]));
  const glide = (stood) => {
    if (!stood.size || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    for (const e of $$('.stop')) {
      const from = stood.get(e.id), by = from === undefined ? 0 : from - e.getBoundingClientRect().top;
      if (from === undefined) e.animate([{ opacity: 0 }, { opacity: 1 }], 300);
      else if (Math.abs(by) > 1 && Math.abs(by) < innerHeight) e.animate([{ transform: 'translateY(' + by + 'px)' }, { transform: 'none' }], { duration: 350, easing: 'ease-out' });
    }
  };
  const seen = new WeakMap();
  setInterval(() => $$('progress[data-elapsed]').forEach((e) => {
    if (!seen.has(e)) seen.set(e, performance.now() - 1000);
    e.value = Number(e.dataset.elapsed) + (performance.now() - seen.get(e)) / 1000;
  }), 1000);

  // ---- event streams, closed while nobody looks: browsers open only a few to one host ----
  const streams = [];
  const listen = (address, on) => {
    const s = { address, on, source: null, over: false };
    streams.push(s);
    open(s);
    return s;
  };
  function open(s) {
    if (s.source || s.over || doc.hidden) return;
    s.source = new EventSource(s.address());
    for (const [name, f] of Object.entries(s.on)) s.source.addEventListener(name, (e) => f(e, s));
  }
  function close(s) { if (s.source) { s.source.close(); s.source = null; } }
  doc.addEventListener('visibilitychange', () => streams.forEach(doc.hidden ? close : open));
  addEventListener('pagehide', () => streams.forEach(close));
  addEventListener('pageshow', () => streams.forEach(open));

  let live = null;
  if (body.dataset.live) {
    let have = body.dataset.have || '';
    const join = body.dataset.live.includes('?') ? '&' : '?';
    live = listen(() => body.dataset.live + join + 'have=' + have, { parts: (e) => { have = e.lastEventId; renew(e.data); } });
  }
  const log = $('#log');
  if (log && log.dataset.stream) {
    let from = log.dataset.from;
    listen(() => log.dataset.stream + (log.dataset.stream.includes('?') ? '&' : '?') + 'from=' + from, {
      log: (e) => {
        const bottom = innerHeight + scrollY > body.scrollHeight - 80;
        $('ol', log).insertAdjacentHTML('beforeend', e.data);
        from = e.lastEventId;
        if (bottom) scrollTo(0, body.scrollHeight);
      },
      parts: (e) => renew(e.data),
      end: (e, s) => { s.over = true; close(s); const t = $('#tail'); if (t) t.remove(); say(tr('The log is complete.')); },
    });
  }

  // ---- the time machine: the slider shows each moment that it passes ----
  let asked = 0, soon = 0;
  const travel = async (address) => {
    const mine = ++asked;
    if (live) { live.over = true; close(live); }
    const answer = await fetch(address);
    if (!answer.ok || mine !== asked) return;
    const text = await answer.text();
    if (mine !== asked) return;
    history.replaceState(null, '', address);
    renew($('main', new DOMParser().parseFromString(text, 'text/html')).innerHTML);
  };
  doc.addEventListener('input', (e) => {
    if (e.target.id !== 'scrub') return;
    const s = e.target, at = new Date((Number(s.dataset.from) + Number(s.value)) * 1000).toISOString().slice(0, 19);
    if ($('#at')) $('#at').value = at;
    s.setAttribute('aria-valuetext', at.replace('T', ' ') + ' UTC');
    clearTimeout(soon);
    soon = setTimeout(() => travel(location.pathname + '?at=' + at), 80);
  });

  // ---- copying ----
  const copies = (at) => {
    for (const e of navigator.clipboard ? $$('.cmd', at) : []) {
      const b = doc.createElement('button');
      b.type = 'button'; b.className = 'copy'; b.textContent = tr('Copy');
      e.prepend(b);
    }
  };
  copies(doc);
  const copy = (b) => {
    const text = [...b.parentElement.childNodes].filter((n) => n !== b).map((n) => n.textContent).join('').trim();
    navigator.clipboard.writeText(text).then(() => { b.textContent = tr('Copied'); setTimeout(() => { b.textContent = tr('Copy'); }, 1500); });
  };

  doc.addEventListener('click', (e) => {
    const hit = (s) => e.target.closest(s);
    let b;
    if (e.ctrlKey || e.metaKey || e.shiftKey) return;
    if ((b = hit('.copy'))) copy(b);
    else if (hit('[data-keys]')) { e.preventDefault(); keys(); }
    else if (hit('[data-unfold]')) { const all = $$('.file > header > details'), to = all.some((d) => !d.open); all.forEach((d) => { d.open = to; }); }
    else if (e.target.tagName === 'DIALOG') e.target.close();
  });
  // ---- what is written is not lost: a review that is begun waits in this tab ----
  const draft = $('#message'), shelf = 'draft ' + location.pathname;
  if (draft && !draft.value) draft.value = sessionStorage.getItem(shelf) || '';
  if (draft) draft.addEventListener('input', () => sessionStorage.setItem(shelf, draft.value));
  let sent = false;
  doc.addEventListener('submit', (e) => {
    const ask = e.submitter && e.submitter.dataset.ask;
    if (ask && !confirm(ask)) { e.preventDefault(); return; }
    sent = true;
    if (draft && e.target.contains(draft)) sessionStorage.removeItem(shelf);
  });
  addEventListener('beforeunload', (e) => {
    if (!sent && $$('textarea').some((t) => t !== draft && t.value !== t.defaultValue)) e.preventDefault();
  });
  doc.addEventListener('change', (e) => { if (e.target.matches('select[data-go]')) e.target.form.requestSubmit(); });

  // ---- keys ----
  const keys = () => { const d = $('#keys'); if (d.open) d.close(); else d.showModal(); };
  let here = null, line = null;
  const show = (e, block) => e && e.scrollIntoView({ block });
  const step = (list, by, now) => {
    const top = 60, at = list.indexOf(now);
    if (at >= 0) return list[Math.min(Math.max(at + by, 0), list.length - 1)];
    return by > 0 ? list.find((e) => e.getBoundingClientRect().top >= top) : list.findLast((e) => e.getBoundingClientRect().top < top);
  };
  const toFile = (by) => {
    const e = step($$('.file'), by, here);
    if (!e) return toRow(by);
    if (here) here.classList.remove('here');
    here = e; line = null;
    e.classList.add('here');
    show(e, 'start');
    const head = $('summary, h2 a', e);
    if (head) head.focus({ preventScroll: true });
  };
  const toRow = (by) => { // lists: the row's first link
    const links = $$('table.list tbody tr, .stop').map((r) => $('a.title', r) || $('a', r)).filter(Boolean);
    const at = links.indexOf(doc.activeElement), e = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)];
    if (e) { e.focus(); show(e, 'nearest'); }
  };
  const changed = (r) => $('.a, .d', r);
  const toHunk = (by) => {
    const rows = $$('table.code tr').filter((r) => changed(r) && !(r.previousElementSibling && changed(r.previousElementSibling)));
    const e = step(rows, by, line);
    if (!e) return;
    line = e;
    show(e, 'center');
    const b = $('td.n button', e);
    if (b) b.focus({ preventScroll: true });
  };
  const go = (address) => { if (address) location.assign(address); };
  const press = (selector) => { const e = $(selector); if (e) { e.focus(); show(e, 'center'); } };
  const table = {
    j: () => toFile(1), k: () => toFile(-1), n: () => toHunk(1), p: () => toHunk(-1),
    r: () => press('#reply textarea'), u: () => go(body.dataset.up), x: () => { const d = $('header > details', here || $('.file') || doc); if (d) d.open = !d.open; },
    c: () => { const b = doc.activeElement.matches('button[name=comment]') ? doc.activeElement : line && $('button[name=comment]', line); if (b) b.click(); },
    s: () => { const a = $('.choice a:not([aria-current])'); if (a) a.click(); },
    '[': () => go($('#step-back') && $('#step-back').href), ']': () => go($('#step-on') && $('#step-on').href),
    '?': keys,
    'g d': () => go('/'), 'g r': () => go('/repositories'), 'g s': () => go('/settings'),
  };
  let prefix = '';
  doc.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    const typing = e.target.matches('input:not([type=radio]):not([type=checkbox]), textarea, select');
    if (e.key === 'Escape' && typing) { e.target.blur(); return; }
    if (typing || ($('dialog[open]') && e.key !== '?')) return;
    const action = table[prefix + e.key];
    prefix = !prefix && e.key === 'g' ? 'g ' : '';
    if (action) { e.preventDefault(); action(); }
  });

  // A line that was linked to, in a file that is folded: unfold it.
  const target = location.hash.length > 1 && doc.getElementById(location.hash.slice(1));
  if (target) { const d = target.closest('details') || $(':scope > header > details', target.closest('.file') || target); if (d && !d.open) { d.open = true; target.scrollIntoView({ block: 'center' }); } }
})();
