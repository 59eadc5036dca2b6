// Lists of changes: one box chooses all, and what can be done shows when something is chosen;
// the key / leads to the box that searches.
(() => {
  'use strict';
  const look = (form) => {
    const boxes = [...form.querySelectorAll('input[name=change]')], chosen = boxes.filter((b) => b.checked).length;
    const all = form.querySelector('[data-all]'), say = form.querySelector('[data-chosen]');
    form.classList.toggle('some', chosen > 0);
    if (all) { all.checked = chosen > 0 && chosen === boxes.length; all.indeterminate = chosen > 0 && chosen < boxes.length; }
    if (say && chosen) say.textContent = chosen === 1 ? tr('With 1 change:') : tr('With {1} changes:', chosen);
  };
  document.querySelectorAll('form.bulk').forEach(look);
  document.addEventListener('change', (e) => {
    const form = e.target.closest && e.target.closest('form.bulk');
    if (!form) return;
    if (e.target.matches('[data-all]')) form.querySelectorAll('input[name=change]').forEach((b) => { b.checked = e.target.checked; });
    look(form);
  });
  document.addEventListener('keydown', (e) => {
    if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input, textarea, select, [contenteditable]')) return;
    const box = document.getElementById('q') || document.getElementById('find-changes');
    if (box) { e.preventDefault(); box.focus(); box.select(); }
  });
})();
