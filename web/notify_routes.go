package web

import "net/http"

// notifyRoutes are what people are told, what they want to be told, and webhooks.
func notifyRoutes() []route {
	get, post := http.MethodGet, http.MethodPost
	r := "/" + repoPattern + "/-/webhooks"
	return []route{
		{"notifications", get, "/notifications", rightSession, false, (*Web).notifications},
		{"notifications.events", get, "/notifications/events", rightSession, false, (*Web).notificationEvents},
		{"notifications.read.do", post, "/notifications/read", rightSession, false, (*Web).readNotifications},
		{"settings.notify", get, "/settings/notifications", rightSession, false, (*Web).notifySettings},
		{"settings.notify.do", post, "/settings/notifications/save", rightSession, false, (*Web).setNotify},
		{"unsubscribe", get, "/unsubscribe/{token}", rightOpen, false, (*Web).unsubscribePage},
		{"unsubscribe.do", post, "/unsubscribe/{token}", rightToken, false, (*Web).unsubscribe},
		{"change.mute.do", post, "/c/" + numPattern + "/mute", rightSession, false, (*Web).muteChange},

		{"repo.webhooks", get, r, rightOwn, false, (*Web).webhooks},
		{"repo.webhooks.add.do", post, r + "/add", rightOwn, false, (*Web).addWebhook},
		{"repo.webhook", get, r + "/{id:[0-9]+}", rightOwn, false, (*Web).webhook},
		{"repo.webhook.do", post, r + "/{id:[0-9]+}", rightOwn, false, (*Web).actOnWebhook},
	}
}
