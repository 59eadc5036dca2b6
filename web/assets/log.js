// Logs: more lines in place, groups that fold, links to ranges, following the end.
(() => {
  'use strict';
  const doc = document, log = doc.querySelector('.log.paged'), id = (name) => doc.getElementById(name);
  if (!log) return;
  const most = 6000, list = log.querySelector('ol'); // lines that are held while a log is followed
  const shown = new URLSearchParams(location.search).get('times'), keep = /^(since|clock)$/.test(shown) ? '&times=' + shown : '';
  const all = (s) => [...log.querySelectorAll(s)];

  const inside = (head) => {
    const found = [];
    for (let e = head.nextElementSibling; e && e.matches('.in'); e = e.nextElementSibling) found.push(e);
    return found;
  };
  const fold = (head, open) => {
    head.lastChild.ariaExpanded = open;
    for (const e of inside(head)) e.hidden = !open;
  };
  const turn = (head) => fold(head, head.lastChild.ariaExpanded === 'false');
  const groups = () => { // those that ended without a failure are folded at first
    for (const head of all('.group:not(:has([role]))')) {
      const lines = inside(head);
      const b = doc.createElement('span');
      b.append(...[...head.childNodes].slice(1));
      b.role = 'button'; b.tabIndex = 0;
      head.append(b);
      fold(head, !lines.some((e) => e.matches('.over')) || lines.some((e) => e.matches('.bad, .error, .lit, :target')));
    }
  };

  const light = (show) => { // #L12 or #L12-L20, also where the page does not hold them
    const m = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    for (const e of all('.lit')) e.classList.remove('lit');
    if (!m) return;
    const [a, b] = [Number(m[1]), Number(m[2] || m[1])].sort((x, y) => x - y), first = id('L' + a);
    if (!first) { if (show) location.replace(location.pathname + '?at=' + a + '-' + b + keep + location.hash); return; }
    for (let n = a; n <= Math.min(b, a + most); n++) if (id('L' + n)) id('L' + n).classList.add('lit');
    for (let e = first; e && first.hidden; e = e.previousElementSibling) if (e.matches('.group')) fold(e, true);
    if (show) first.scrollIntoView({ block: 'center' });
  };
  const load = async (more) => {
    const answer = await fetch(more.href + '&part'), box = doc.createElement('template'), from = list.firstElementChild, before = more.rel === 'prev';
    if (!answer.ok) { location.assign(more.href); return; }
    box.innerHTML = await answer.text();
    const top = from && from.getBoundingClientRect().top, next = box.content.querySelector('[rel=' + more.rel + ']');
    list[before ? 'prepend' : 'append'](...[...box.content.querySelector('ol').children].filter((e) => !id(e.id)));
    if (next) more.href = next.href; else more.closest('p').remove();
    if (before && from) scrollBy(0, from.getBoundingClientRect().top - top);
  };
  let last = 0;
  log.addEventListener('click', (e) => {
    const hit = (s) => e.target.closest(s), number = hit('li > a:first-child'), more = hit('[data-log-more]');
    if (e.ctrlKey || e.metaKey) return;
    if (number || more) e.preventDefault();
    if (more) load(more);
    else if (number) {
      const n = Number(number.textContent), to = e.shiftKey && last || n, [a, b] = n < to ? [n, to] : [to, n];
      if (!e.shiftKey) last = n;
      history.replaceState(null, '', location.pathname + '?at=' + a + (a < b ? '-' + b : '') + keep + '#L' + a + (a < b ? '-L' + b : ''));
      light();
    } else if (hit('.group') && !String(getSelection())) turn(hit('.group'));
  });
  log.addEventListener('keydown', (e) => {
    if (/^(Enter| )$/.test(e.key) && e.target.matches('.group > [role]')) { e.preventDefault(); turn(e.target.parentElement); }
  });

  const button = id('follow'), bottom = () => scrollTo(0, doc.body.scrollHeight);
  const follows = (on) => button && on !== undefined ? button.setAttribute('aria-pressed', on) : button && id('tail') && button.getAttribute('aria-pressed') === 'true';
  if (button) button.addEventListener('click', () => { follows(!follows()); if (follows()) bottom(); });
  addEventListener('wheel', (e) => { if (e.deltaY < 0) follows(false); }, { passive: true });
  new MutationObserver(() => {
    while (button && list.childElementCount > most) list.firstElementChild.remove();
    groups();
    if (follows()) bottom();
  }).observe(list, { childList: true });

  groups();
  addEventListener('hashchange', () => light(true));
  const first = log.dataset.first;
  if (location.hash === '#first' && first) location.replace('#' + first);
  light(true);
  if (!location.hash && follows()) bottom();
  else if (!location.hash && !location.search && first && id(first)) id(first).scrollIntoView({ block: 'center' });
})();
