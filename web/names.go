package web

// SignInPath, followed by the secret of a one-time link, is where that link leads.
const SignInPath = "/signin/"

// CookieName is the cookie that holds a session, for the API, which takes it as well.
func (w *Web) CookieName() string { return w.cookieName() }
