// Logs: more lines without a new page, folding groups, links to ranges, following the end.
'use strict';
(() => {
  const doc = document, log = doc.getElementById('log');
  if (!log || !log.classList.contains('paged')) return;
  const most = 6000; // lines that a page holds while it follows a log
  const lines = () => log.querySelector('ol');

  // ---- groups fold; those that hold no failure are folded at first ----
  const inside = (head) => {
    const all = [];
    for (let e = head.nextElementSibling; e && e.classList.contains('in'); e = e.nextElementSibling) all.push(e);
    return all;
  };
  const fold = (head, open) => {
    head.setAttribute('aria-expanded', open);
    for (const e of inside(head)) e.hidden = !open;
  };
  const groups = () => {
    for (const head of log.querySelectorAll('li.group:not([role])')) {
      const all = inside(head), over = all.some((e) => e.classList.contains('over'));
      head.setAttribute('role', 'button');
      head.tabIndex = 0;
      fold(head, !over || all.some((e) => e.matches('.bad, .error, .lit, :target')));
    }
  };

  // ---- a line that is linked to: #L12 or #L12-L20, also one that is not on the page ----
  const range = () => { const m = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash); return m && [Number(m[1]), Number(m[2] || m[1])].sort((a, b) => a - b); };
  const light = (show) => {
    const at = range();
    for (const e of log.querySelectorAll('li.lit')) e.classList.remove('lit');
    if (!at) return;
    const first = doc.getElementById('L' + at[0]);
    if (!first) { if (show) location.replace(location.pathname + '?at=' + at.join('-') + '#L' + at.join('-L')); return; }
    for (let n = at[0]; n <= Math.min(at[1], at[0] + most); n++) { const e = doc.getElementById('L' + n); if (e) e.classList.add('lit'); }
    for (let e = first; e && first.hidden; e = e.previousElementSibling) if (e.classList.contains('group')) { fold(e, true); break; }
    if (show) first.scrollIntoView({ block: 'center' });
  };
  let anchor = 0;
  log.addEventListener('click', async (e) => {
    const number = e.target.closest('li > a:first-child'), more = e.target.closest('[data-log-more]'), head = e.target.closest('li.group');
    if (more && !e.ctrlKey && !e.metaKey) {
      e.preventDefault();
      const answer = await fetch(more.href + '&part'), box = doc.createElement('template');
      if (!answer.ok) { location.assign(more.href); return; }
      box.innerHTML = await answer.text();
      const before = more.rel === 'prev', fresh = box.content.querySelector('ol'), next = box.content.querySelector('[rel=' + more.rel + ']');
      const from = lines().firstElementChild, top = from && from.getBoundingClientRect().top;
      const have = (li) => !doc.getElementById(li.id);
      lines()[before ? 'prepend' : 'append'](...[...fresh.children].filter(have));
      if (next) more.href = next.href; else more.closest('p').remove();
      if (before && from) scrollBy(0, from.getBoundingClientRect().top - top);
      groups();
    } else if (number && !e.ctrlKey && !e.metaKey) {
      e.preventDefault();
      const n = Number(number.textContent), a = e.shiftKey && anchor ? Math.min(anchor, n) : n, b = e.shiftKey && anchor ? Math.max(anchor, n) : n;
      if (!e.shiftKey) anchor = n;
      const words = a === b ? a : a + '-' + b;
      history.replaceState(null, '', location.pathname + '?at=' + words + '#L' + String(words).replace('-', '-L'));
      light(false);
    } else if (head && !getSelection().toString()) fold(head, head.getAttribute('aria-expanded') === 'false');
  });
  log.addEventListener('keydown', (e) => {
    if ((e.key === 'Enter' || e.key === ' ') && e.target.matches('li.group')) { e.preventDefault(); fold(e.target, e.target.getAttribute('aria-expanded') === 'false'); }
  });

  // ---- following the end ----
  const button = doc.getElementById('follow');
  const following = (on) => { if (button) button.setAttribute('aria-pressed', on); };
  const bottom = () => scrollTo(0, doc.body.scrollHeight);
  if (button) button.addEventListener('click', () => { const on = button.getAttribute('aria-pressed') !== 'true'; following(on); if (on) bottom(); });
  addEventListener('wheel', (e) => { if (e.deltaY < 0) following(false); }, { passive: true });
  if (lines()) new MutationObserver(() => {
    for (let over = lines().childElementCount - most; log.dataset.stream && over > 0; over--) lines().firstElementChild.remove();
    groups();
    if (button && doc.getElementById('tail') && button.getAttribute('aria-pressed') === 'true') bottom();
  }).observe(lines(), { childList: true });

  groups();
  addEventListener('hashchange', () => light(true));
  if (location.hash === '#first' && log.dataset.first) location.replace('#' + log.dataset.first);
  light(true);
  if (!location.hash && log.dataset.stream) bottom();
  else if (!location.search && !location.hash && log.dataset.first) { const e = doc.getElementById(log.dataset.first); if (e) e.scrollIntoView({ block: 'center' }); }
})();
