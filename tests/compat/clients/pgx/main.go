// pgx: the whole scenario, in its own interface; statements are prepared and cached by the driver, values are binary.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

type object map[string]interface{}

var (
	background = context.Background()
	input      = bufio.NewReader(os.Stdin)
)

func sql(name string) string { return os.Getenv("SQL_" + strings.ToUpper(name)) }

func emit(line object) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func shown(value interface{}) interface{} {
	switch value := value.(type) {
	case nil, bool, string, int, int16, int32, int64:
		return value
	case []interface{}:
		all := make([]interface{}, len(value))
		for i, item := range value {
			all[i] = shown(item)
		}
		return all
	default:
		return fmt.Sprintf("%T %v", value, value)
	}
}

func fields(err error) object {
	var own *pgconn.PgError
	if errors.As(err, &own) {
		return object{"class": "PgError", "sqlstate": own.Code, "message": own.Message, "detail": own.Detail, "hint": own.Hint}
	}
	return object{"class": fmt.Sprintf("%T", err), "message": err.Error()}
}

func step(name string, action func() (interface{}, error)) {
	if result, err := action(); err != nil {
		emit(object{"step": name, "error": fields(err)})
	} else {
		emit(object{"step": name, "result": shown(result)})
	}
}

func wait(what string) {
	emit(object{"wait": what})
	if _, err := input.ReadString('\n'); err != nil {
		os.Exit(1)
	}
}

func open(change func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("")
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(config)
	}
	return pgx.ConnectConfig(background, config)
}

func mustOpen(change func(*pgx.ConnConfig)) *pgx.Conn {
	conn, err := open(change)
	if err != nil {
		panic(err)
	}
	return conn
}

func query(conn *pgx.Conn, text string, values ...interface{}) (interface{}, error) {
	rows, err := conn.Query(background, text, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []interface{}{}
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return nil, err
		}
		all = append(all, shown(row))
	}
	return all, rows.Err()
}

func once(conn *pgx.Conn, err error) (interface{}, error) {
	if err != nil {
		return nil, err
	}
	defer conn.Close(background)
	return query(conn, sql("count"))
}

func certificate() (interface{}, error) {
	pair, err := tls.LoadX509KeyPair(os.Getenv("COMPAT_CERT"), os.Getenv("COMPAT_CERT_KEY"))
	if err != nil {
		return nil, err
	}
	pem, _ := ioutil.ReadFile(os.Getenv("PGSSLROOTCERT"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return once(open(func(config *pgx.ConnConfig) {
		config.User, config.Password = os.Getenv("COMPAT_CERT_USER"), ""
		config.TLSConfig = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost"}
	}))
}

func pool() (interface{}, error) {
	pool, err := pgxpool.Connect(background, os.Getenv("COMPAT_URI"))
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	bodies := []interface{}{}
	for number := 1; number <= 5; number++ {
		var body string
		if err := pool.QueryRow(background, sql("prepared"), number).Scan(&body); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

func prepared(conn *pgx.Conn) (interface{}, error) {
	described, err := conn.Prepare(background, "by_id", sql("prepared"))
	if err != nil {
		return nil, err
	}
	all := []interface{}{fmt.Sprint(described.ParamOIDs, len(described.Fields))}
	for number := 1; number <= 3; number++ {
		rows, err := query(conn, "by_id", number)
		if err != nil {
			return nil, err
		}
		all = append(all, rows)
	}
	return all, conn.Deallocate(background, "by_id")
}

// All of a batch goes in one pipeline.
func pipeline(conn *pgx.Conn, texts ...string) (interface{}, error) {
	batch := &pgx.Batch{}
	for _, text := range texts {
		batch.Queue(text)
	}
	results := conn.SendBatch(background, batch)
	all := []interface{}{}
	for range texts {
		tag, err := results.Exec()
		if err != nil {
			all = append(all, shown(fmt.Sprint(fields(err)["sqlstate"])))
		} else {
			all = append(all, tag.String())
		}
	}
	results.Close()
	rest, err := query(conn, sql("one"))
	return append(all, rest), err
}

func batch(conn *pgx.Conn) (interface{}, error) {
	batch := &pgx.Batch{}
	for number, body := range []interface{}{"one", "zwei", nil} {
		batch.Queue(sql("insert"), number+1, body)
	}
	if err := conn.SendBatch(background, batch).Close(); err != nil {
		return nil, err
	}
	several, err := conn.PgConn().Exec(background, sql("several")).ReadAll()
	if err != nil {
		return nil, err
	}
	tags := []interface{}{}
	for _, result := range several {
		tags = append(tags, fmt.Sprint(result.CommandTag, result.Rows))
	}
	rows, err := query(conn, sql("sunk"), 1, 9)
	return append(tags, rows), err
}

func copyOut(conn *pgx.Conn) (interface{}, error) {
	var all bytes.Buffer
	tag, err := conn.PgConn().CopyTo(background, &all, sql("copy_out"))
	return []interface{}{tag.String(), all.String()}, err
}

func copyIn(conn *pgx.Conn, first, last int) (interface{}, error) {
	rows := [][]interface{}{}
	for number := first; number <= last; number++ {
		rows = append(rows, []interface{}{number, fmt.Sprint("copied ", number)})
	}
	count, err := conn.CopyFrom(background, pgx.Identifier{"public", "sink"}, []string{"id", "body"}, pgx.CopyFromRows(rows))
	if err != nil {
		return nil, err
	}
	seen, err := query(conn, sql("sunk"), 101, 103)
	return []interface{}{count, seen}, err
}

func cursor(conn *pgx.Conn) (interface{}, error) {
	transaction, err := conn.Begin(background)
	if err != nil {
		return nil, err
	}
	defer transaction.Rollback(background)
	if _, err := transaction.Exec(background, "DECLARE part SCROLL CURSOR FOR "+sql("cursor")); err != nil {
		return nil, err
	}
	all := []interface{}{}
	for _, text := range []string{"FETCH 4 FROM part", "FETCH BACKWARD 2 FROM part", "FETCH ALL FROM part"} {
		rows, err := query(conn, text)
		if err != nil {
			return nil, err
		}
		all = append(all, rows)
	}
	return all, transaction.Commit(background)
}

// A context that is over has pgx close the connection; the request to cancel is the server's own way.
func cancel(conn *pgx.Conn) (interface{}, error) {
	time.AfterFunc(500*time.Millisecond, func() { conn.PgConn().CancelRequest(background) })
	rows, err := query(conn, sql("sleep"))
	if _, after := query(conn, sql("one")); after != nil {
		return nil, after
	}
	return rows, err
}

func overdue() (interface{}, error) {
	conn := mustOpen(nil)
	limited, done := context.WithTimeout(background, 500*time.Millisecond)
	defer done()
	_, err := conn.Exec(limited, sql("sleep"))
	return []interface{}{pgconn.Timeout(err), conn.IsClosed()}, nil
}

func states(conn *pgx.Conn, from, to int, texts ...string) (interface{}, error) {
	all := []interface{}{}
	for _, text := range texts {
		tag, err := conn.Exec(background, text)
		if err != nil {
			all = append(all, fields(err)["sqlstate"])
		} else {
			all = append(all, tag.String())
		}
		all = append(all, string(conn.PgConn().TxStatus()))
	}
	rows, err := query(conn, sql("sunk"), from, to)
	return append(all, rows), err
}

func inserted(number int) string { return "INSERT INTO public.sink VALUES (" + strconv.Itoa(number) + ", 'x')" }

func theEnd() {
	wait("grant")
	heard := []interface{}{}
	conn := mustOpen(func(config *pgx.ConnConfig) {
		config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { heard = append(heard, notice.Message) }
	})
	step("notice", func() (interface{}, error) {
		limit, _ := strconv.ParseFloat(os.Getenv("COMPAT_NOTICE_WAIT"), 64)
		for begun := time.Now(); ; {
			if _, err := query(conn, sql("nap")); err != nil {
				return nil, err
			}
			if len(heard) > 0 || time.Since(begun).Seconds() > limit {
				return heard, nil
			}
		}
	})
	wait("end")
	step("end", func() (interface{}, error) { return query(conn, sql("sleep")) })
	step("after_end", func() (interface{}, error) { return query(conn, sql("one")) })
	wait("again")
	step("reconnect", func() (interface{}, error) { return once(open(nil)) })
}

func main() {
	emit(object{"version": packaged("golang-github-jackc-pgx-v4-dev"), "libpq": nil})
	step("connect_keywords", func() (interface{}, error) {
		return once(pgx.Connect(background, fmt.Sprintf("host=%s port=%s dbname=%s sslmode=verify-full", os.Getenv("PGHOST"), os.Getenv("PGPORT"), os.Getenv("PGDATABASE"))))
	})
	step("connect_uri", func() (interface{}, error) { return once(pgx.Connect(background, os.Getenv("COMPAT_URI"))) })
	step("connect_service", func() (interface{}, error) { return once(pgx.Connect(background, "service=compat")) })
	step("connect_certificate", certificate)
	step("connect_pool", pool)
	step("simple", func() (interface{}, error) {
		return once(open(func(config *pgx.ConnConfig) { config.PreferSimpleProtocol = true }))
	})
	conn := mustOpen(nil)
	step("types", func() (interface{}, error) { return query(conn, sql("types")) })
	step("extended", func() (interface{}, error) { return query(conn, sql("extended"), 3, "note 7") })
	step("prepared", func() (interface{}, error) { return prepared(conn) })
	step("pipeline", func() (interface{}, error) { return pipeline(conn, sql("one"), sql("count"), sql("one")) })
	step("pipeline_with_a_failure", func() (interface{}, error) {
		return pipeline(mustOpen(func(config *pgx.ConnConfig) { config.BuildStatementCache = nil }), sql("one"), sql("locked"), sql("one"))
	})
	step("batch", func() (interface{}, error) { return batch(conn) })
	step("copy_out", func() (interface{}, error) { return copyOut(conn) })
	step("copy_in", func() (interface{}, error) { return copyIn(conn, 101, 180) })
	step("failed_copy_in", func() (interface{}, error) { return copyIn(conn, 101, 101) })
	step("cursor", func() (interface{}, error) { return cursor(conn) })
	step("listen", func() (interface{}, error) {
		tag, err := conn.Exec(background, sql("listen"))
		return tag.String(), err
	})
	step("cancel", func() (interface{}, error) { return cancel(conn) })
	step("cancel_by_context", overdue)
	for _, name := range []string{"error_detail", "error_hint", "error_name", "denied"} {
		text := sql(name)
		step(name, func() (interface{}, error) { return query(conn, text) })
	}
	step("denied_prepared", func() (interface{}, error) { return query(conn, sql("denied_prepared"), 1) })
	step("transaction", func() (interface{}, error) {
		return states(conn, 201, 209, "BEGIN", inserted(201), "SAVEPOINT s", sql("locked"), "ROLLBACK TO s", inserted(202), "COMMIT")
	})
	step("failed_transaction", func() (interface{}, error) {
		return states(conn, 211, 219, "BEGIN", inserted(211), sql("locked"), sql("one"), "COMMIT")
	})
	step("reset", func() (interface{}, error) {
		tag, err := conn.Exec(background, "DISCARD ALL")
		return tag.String(), err
	})
	conn.Close(background)
	theEnd()
}
