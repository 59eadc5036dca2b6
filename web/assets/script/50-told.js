// Whoever reads a change has read what they were told of it.
(() => {
  'use strict';
  const page = document.body;
  const number = /^\/c\/(\d+)/.exec(location.pathname);
  if (page.dataset.page !== 'change' || !number) return;
  const tell = () => {
    const bell = document.getElementById('bell');
    if (!bell || bell.dataset.unread === '0' || document.visibilityState !== 'visible') return;
    fetch('/notifications/read', { method: 'POST', body: new URLSearchParams({ change: number[1] }), redirect: 'manual' }).catch(() => {});
  };
  // The stream is opened first: it brings the bell's new number.
  setTimeout(tell, 1500);
  document.addEventListener('visibilitychange', tell);
})();
