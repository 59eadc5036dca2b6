// Command service is the artifact of the tests: a web service that can be told to misbehave.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "daemon" {
		time.Sleep(time.Hour)
		return
	}
	fmt.Println("service", os.Getenv("VERSION"), "begins")
	port, at := os.Getenv("PORT"), cmp.Or(os.Getenv("LISTEN"), "127.0.0.1") // a container listens on all
	switch os.Getenv("MODE") {
	case "hello":
		fmt.Println("hello")
		return
	case "exit":
		fmt.Println("cannot open the database at", os.Getenv("DATABASE_PASSWORD"))
		os.Exit(3)
	case "silent":
		time.Sleep(time.Hour)
	case "deaf": // listens, and never answers
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			log.Fatal(err)
		}
		for {
			if _, err := l.Accept(); err != nil {
				log.Fatal(err)
			}
		}
	case "elsewhere":
		port = os.Getenv("ELSEWHERE")
	case "daemon": // leaves a process behind, in a session of its own
		daemon := exec.Command("/usr/bin/setsid", "./service", "daemon")
		if err := daemon.Start(); err != nil {
			log.Fatal(err)
		}
		fmt.Println("left", daemon.Process.Pid)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/sick", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	http.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("VERSION")) })
	http.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	http.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Println("a crash was asked for")
		os.Exit(7)
	})
	http.HandleFunc("/print", func(w http.ResponseWriter, r *http.Request) {
		half := len(os.Getenv("DATABASE_PASSWORD")) / 2
		fmt.Print("the password is ", os.Getenv("DATABASE_PASSWORD")[:half])
		time.Sleep(20 * time.Millisecond) // in two writes
		fmt.Println(os.Getenv("DATABASE_PASSWORD")[half:], r.URL.Query().Get("end"))
	})
	http.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		for range 10 {
			fmt.Fprint(w, os.Getenv("VERSION"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	log.Fatal(http.ListenAndServe(net.JoinHostPort(at, port), nil))
}
