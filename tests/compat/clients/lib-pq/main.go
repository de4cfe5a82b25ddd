// lib/pq by database/sql: the whole scenario, values in text.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
)

type object map[string]interface{}

var (
	background = context.Background()
	input      = bufio.NewReader(os.Stdin)
)

func text(name string) string { return os.Getenv("SQL_" + strings.ToUpper(name)) }

func emit(line object) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func shown(value interface{}) interface{} {
	switch value := value.(type) {
	case nil, bool, string, int, int64:
		return value
	case []byte:
		return "bytes " + string(value)
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
	var own *pq.Error
	if errors.As(err, &own) {
		return object{"class": "Error", "sqlstate": string(own.Code), "message": own.Message, "detail": own.Detail, "hint": own.Hint}
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

// What database/sql and its transactions have in common.
type querier interface {
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
}

func read(rows *sql.Rows) ([]interface{}, error) {
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	all := []interface{}{}
	for rows.Next() {
		row, places := make([]interface{}, len(names)), make([]interface{}, len(names))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		all = append(all, shown(row))
	}
	return all, rows.Err()
}

func query(on querier, text string, values ...interface{}) (interface{}, error) {
	rows, err := on.QueryContext(background, text, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return read(rows)
}

func open(dsn string) *sql.DB {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func once(dsn string) (interface{}, error) {
	db := open(dsn)
	defer db.Close()
	return query(db, text("count"))
}

func prepared(db *sql.DB) (interface{}, error) {
	statement, err := db.Prepare(text("prepared"))
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	all := []interface{}{}
	for number := 1; number <= 3; number++ {
		var body string
		if err := statement.QueryRow(number).Scan(&body); err != nil {
			return nil, err
		}
		all = append(all, body)
	}
	return all, nil
}

func batch(db *sql.DB) (interface{}, error) {
	for number, body := range []interface{}{"one", "zwei", nil} {
		if _, err := db.Exec(text("insert"), number+1, body); err != nil {
			return nil, err
		}
	}
	rows, err := db.Query(text("several"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []interface{}{}
	for {
		set, err := read(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, set)
		if !rows.NextResultSet() {
			break
		}
	}
	rows.Close()
	sunk, err := query(db, text("sunk"), 1, 9)
	return append(all, sunk), err
}

func copyIn(db *sql.DB, first, last int) (interface{}, error) {
	transaction, err := db.Begin()
	if err != nil {
		return nil, err
	}
	defer transaction.Rollback()
	statement, err := transaction.Prepare(pq.CopyInSchema("public", "sink", "id", "body"))
	if err != nil {
		return nil, err
	}
	for number := first; number <= last; number++ {
		if _, err := statement.Exec(number, fmt.Sprint("copied ", number)); err != nil {
			return nil, err
		}
	}
	result, err := statement.Exec()
	if err != nil {
		return nil, err
	}
	if err := statement.Close(); err != nil {
		return nil, err
	}
	if err := transaction.Commit(); err != nil {
		return nil, err
	}
	count, _ := result.RowsAffected()
	sunk, err := query(db, text("sunk"), 101, 103)
	return []interface{}{count, sunk}, err
}

func cursor(db *sql.DB) (interface{}, error) {
	transaction, err := db.Begin()
	if err != nil {
		return nil, err
	}
	defer transaction.Rollback()
	if _, err := transaction.Exec("DECLARE part SCROLL CURSOR FOR " + text("cursor")); err != nil {
		return nil, err
	}
	all := []interface{}{}
	for _, text := range []string{"FETCH 4 FROM part", "FETCH BACKWARD 2 FROM part", "FETCH ALL FROM part"} {
		rows, err := query(transaction, text)
		if err != nil {
			return nil, err
		}
		all = append(all, rows)
	}
	return all, transaction.Commit()
}

func cancel(db *sql.DB) (interface{}, error) {
	limited, done := context.WithTimeout(background, 500*time.Millisecond)
	defer done()
	rows, err := db.QueryContext(limited, text("sleep"))
	if err == nil {
		defer rows.Close()
		_, err = read(rows)
	}
	if _, after := query(db, text("one")); after != nil {
		return nil, after
	}
	return nil, err
}

func states(db *sql.DB, from, to int, texts ...string) (interface{}, error) {
	transaction, err := db.Begin()
	if err != nil {
		return nil, err
	}
	all := []interface{}{}
	for _, text := range texts {
		if _, err := transaction.Exec(text); err != nil {
			all = append(all, fields(err)["sqlstate"])
		} else {
			all = append(all, "done")
		}
	}
	if err := transaction.Commit(); err != nil {
		all = append(all, err.Error())
	}
	rows, err := query(db, text("sunk"), from, to)
	return append(all, rows), err
}

func inserted(number int) string { return "INSERT INTO public.sink VALUES (" + strconv.Itoa(number) + ", 'x')" }

func theEnd() {
	wait("grant")
	heard := []interface{}{}
	connector, err := pq.NewConnector("")
	if err != nil {
		panic(err)
	}
	db := sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, func(notice *pq.Error) { heard = append(heard, notice.Message) }))
	db.SetMaxOpenConns(1)
	step("notice", func() (interface{}, error) {
		limit, _ := strconv.ParseFloat(os.Getenv("COMPAT_NOTICE_WAIT"), 64)
		for begun := time.Now(); ; {
			if _, err := query(db, text("nap")); err != nil {
				return nil, err
			}
			if len(heard) > 0 || time.Since(begun).Seconds() > limit {
				return heard, nil
			}
		}
	})
	// By itself the pool would run the statement again on a new connection.
	conn, err := db.Conn(background)
	if err != nil {
		panic(err)
	}
	wait("end")
	step("end", func() (interface{}, error) { return query(conn, text("sleep")) })
	step("after_end", func() (interface{}, error) { return query(conn, text("one")) })
	conn.Close()
	wait("again")
	// The pool connects again by itself.
	step("reconnect", func() (interface{}, error) { return query(db, text("count")) })
}

func main() {
	emit(object{"version": packaged("golang-github-lib-pq-dev"), "libpq": nil})
	step("connect_keywords", func() (interface{}, error) {
		return once(fmt.Sprintf("host=%s port=%s dbname=%s sslmode=verify-full", os.Getenv("PGHOST"), os.Getenv("PGPORT"), os.Getenv("PGDATABASE")))
	})
	step("connect_uri", func() (interface{}, error) { return once(os.Getenv("COMPAT_URI")) })
	emit(object{"step": "connect_service", "skip": "lib/pq reads no service file"})
	step("connect_certificate", func() (interface{}, error) {
		return once(fmt.Sprintf("user=%s password='' sslcert=%s sslkey=%s", os.Getenv("COMPAT_CERT_USER"), os.Getenv("COMPAT_CERT"), os.Getenv("COMPAT_CERT_KEY")))
	})
	db := open("")
	binary := open("binary_parameters=yes")
	step("simple", func() (interface{}, error) { return query(db, text("first")) })
	step("types", func() (interface{}, error) { return query(db, text("types")) })
	step("extended", func() (interface{}, error) { return query(db, text("extended"), 3, "note 7") })
	step("extended_binary", func() (interface{}, error) { return query(binary, text("extended"), 3, "note 7") })
	step("prepared", func() (interface{}, error) { return prepared(db) })
	step("batch", func() (interface{}, error) { return batch(db) })
	step("copy_in", func() (interface{}, error) { return copyIn(db, 101, 180) })
	step("failed_copy_in", func() (interface{}, error) { return copyIn(db, 101, 101) })
	step("cursor", func() (interface{}, error) { return cursor(db) })
	step("listen", func() (interface{}, error) { return nil, second(db.Exec(text("listen"))) })
	step("cancel", func() (interface{}, error) { return cancel(db) })
	for _, name := range []string{"error_detail", "error_hint", "error_name", "denied"} {
		sql := text(name)
		step(name, func() (interface{}, error) { return query(db, sql) })
	}
	step("denied_prepared", func() (interface{}, error) { return query(db, text("denied_prepared"), 1) })
	step("transaction", func() (interface{}, error) {
		return states(db, 201, 209, inserted(201), "SAVEPOINT s", text("locked"), "ROLLBACK TO s", inserted(202))
	})
	step("failed_transaction", func() (interface{}, error) {
		return states(db, 211, 219, inserted(211), text("locked"), text("one"))
	})
	db.Close()
	binary.Close()
	theEnd()
}

func second(_ sql.Result, err error) error { return err }
