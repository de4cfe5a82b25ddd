// JDBC: the whole scenario; prepares on the server by itself, batches, fetches by portals, and asks for metadata as tools do.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public final class Main {
    interface Action {
        Object run() throws Exception;
    }

    static final Map<String, String> ENV = System.getenv();
    static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in));

    static String sql(String name) {
        return ENV.get("SQL_" + name.toUpperCase());
    }

    static String read(String name) {
        return sql(name).replace("$1", "?").replace("$2", "?");
    }

    static String json(Object value) {
        if (value == null) return "null";
        if (value instanceof Integer || value instanceof Long || value instanceof Boolean) return value.toString();
        if (value instanceof List<?> list) {
            StringJoiner all = new StringJoiner(", ", "[", "]");
            for (Object item : list) all.add(json(item));
            return all.toString();
        }
        if (value instanceof Map<?, ?> map) {
            StringJoiner all = new StringJoiner(", ", "{", "}");
            map.forEach((name, item) -> all.add(json(name) + ": " + json(item)));
            return all.toString();
        }
        String text = value instanceof byte[] bytes ? "bytes " + HexFormat.of().formatHex(bytes) : value.toString();
        if (!(value instanceof String) && !(value instanceof byte[])) text = value.getClass().getSimpleName() + " " + text;
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') quoted.append('\\').append(c);
            else if (c < 0x20) quoted.append(String.format("\\u%04x", (int) c));
            else quoted.append(c);
        }
        return quoted.append('"').toString();
    }

    static Map<String, Object> line(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    static Map<String, Object> fields(Exception error) {
        Map<String, Object> fields = line("class", error.getClass().getSimpleName(), "message", String.valueOf(error.getMessage()));
        if (error instanceof SQLException known) fields.put("sqlstate", known.getSQLState());
        ServerErrorMessage server = error instanceof PSQLException own ? own.getServerErrorMessage() : null;
        if (server != null) {
            fields.put("message", server.getMessage());
            fields.put("detail", server.getDetail());
            fields.put("hint", server.getHint());
        }
        return fields;
    }

    static void step(String name, Action action) {
        try {
            OUT.println(json(line("step", name, "result", action.run())));
        } catch (Exception error) {
            OUT.println(json(line("step", name, "error", fields(error))));
        }
    }

    static void awaitRunner(String what) throws Exception {
        OUT.println(json(line("wait", what)));
        if (IN.readLine() == null) System.exit(1);
    }

    static Connection connectAs(String user, String password, String... more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", user);
        properties.setProperty("password", password);
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", ENV.get("PGSSLROOTCERT"));
        for (int i = 0; i < more.length; i += 2) properties.setProperty(more[i], more[i + 1]);
        String url = "jdbc:postgresql://" + ENV.get("PGHOST") + ":" + ENV.get("PGPORT") + "/" + ENV.get("PGDATABASE");
        return DriverManager.getConnection(url, properties);
    }

    static Connection connect(String... more) throws SQLException {
        return connectAs(ENV.get("PGUSER"), ENV.get("PGPASSWORD"), more);
    }

    static List<Object> rows(ResultSet set) throws SQLException {
        List<Object> rows = new ArrayList<>();
        int columns = set.getMetaData().getColumnCount();
        while (set.next()) {
            List<Object> row = new ArrayList<>();
            for (int column = 1; column <= columns; column++) {
                Object value = set.getObject(column);
                row.add(value instanceof Array array ? "array " + array : value);
            }
            rows.add(row);
        }
        return rows;
    }

    static List<Object> query(Connection conn, String text, Object... values) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement(text)) {
            for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
            return rows(statement.executeQuery());
        }
    }

    static List<Object> once(Connection conn) throws SQLException {
        try (conn; Statement statement = conn.createStatement()) {
            return rows(statement.executeQuery(sql("count")));
        }
    }

    static Object described(Connection conn) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement(read("extended"))) {
            List<Object> all = new ArrayList<>();
            ParameterMetaData parameters = statement.getParameterMetaData();
            for (int i = 1; i <= parameters.getParameterCount(); i++) all.add(parameters.getParameterTypeName(i));
            ResultSetMetaData columns = statement.getMetaData();
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                // isAutoIncrement and isNullable ask the catalogs.
                all.add(List.of(columns.getColumnName(i), columns.getColumnTypeName(i), columns.isAutoIncrement(i), columns.isNullable(i)));
            }
            return all;
        }
    }

    // Beyond the fifth execution the statement has a name on the server, and its values are binary.
    static Object prepared(Connection conn) throws SQLException {
        List<Object> all = new ArrayList<>();
        try (PreparedStatement statement = conn.prepareStatement(read("prepared"))) {
            for (int number = 1; number <= 8; number++) {
                statement.setInt(1, number);
                all.add(rows(statement.executeQuery()));
            }
        }
        return all;
    }

    static Object batch(Connection conn) throws SQLException {
        List<Object> all = new ArrayList<>();
        try (PreparedStatement statement = conn.prepareStatement(read("insert"), Statement.RETURN_GENERATED_KEYS)) {
            String[] bodies = {"one", "zwei", null};
            for (int i = 0; i < 3; i++) {
                statement.setInt(1, i + 1);
                statement.setString(2, bodies[i]);
                statement.addBatch();
            }
            for (int count : statement.executeBatch()) all.add(count);
            all.add(rows(statement.getGeneratedKeys()));
        }
        try (Statement statement = conn.createStatement()) {
            boolean more = statement.execute(sql("several"));
            while (more) {
                all.add(rows(statement.getResultSet()));
                more = statement.getMoreResults();
            }
        }
        all.add(query(conn, read("sunk"), 1, 9));
        return all;
    }

    static Object failedBatch(Connection conn) throws SQLException {
        try (Statement statement = conn.createStatement()) {
            statement.addBatch("INSERT INTO public.sink VALUES (7, 'seven')");
            statement.addBatch(sql("locked"));
            statement.addBatch("INSERT INTO public.sink VALUES (8, 'eight')");
            statement.executeBatch();
            return "no failure";
        } catch (BatchUpdateException error) {
            List<Object> counts = new ArrayList<>();
            for (int count : error.getUpdateCounts()) counts.add(count);
            return List.of(error.getSQLState(), counts, query(conn, read("sunk"), 1, 9));
        }
    }

    static Object rewritten() throws SQLException {
        try (Connection conn = connect("reWriteBatchedInserts", "true"); PreparedStatement statement = conn.prepareStatement(read("insert"))) {
            for (int number = 401; number <= 420; number++) {
                statement.setInt(1, number);
                statement.setString(2, "rewritten");
                statement.addBatch();
            }
            statement.executeBatch();
            return query(conn, "SELECT count(*) FROM public.sink WHERE id BETWEEN ? AND ?", 401, 420);
        }
    }

    static Object copyOut(Connection conn) throws Exception {
        StringWriter into = new StringWriter();
        long count = conn.unwrap(PGConnection.class).getCopyAPI().copyOut(sql("copy_out"), into);
        return List.of(count, into.toString());
    }

    static Object copyIn(Connection conn) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int number = 101; number <= 180; number++) lines.append(number).append("\tcopied ").append(number).append('\n');
        long count = conn.unwrap(PGConnection.class).getCopyAPI().copyIn(sql("copy_in"), new StringReader(lines.toString()));
        return List.of(count, query(conn, read("sunk"), 101, 103));
    }

    static Object cursor(Connection conn) throws SQLException {
        conn.setAutoCommit(false);
        try (PreparedStatement statement = conn.prepareStatement(sql("cursor"))) {
            statement.setFetchSize(4);
            return rows(statement.executeQuery());
        } finally {
            conn.commit();
            conn.setAutoCommit(true);
        }
    }

    static Object updatable(Connection conn) throws SQLException {
        try (Statement statement = conn.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet set = statement.executeQuery("SELECT id, body FROM public.sink WHERE id = 101");
            set.next();
            set.updateString(2, "updated");
            set.updateRow();
            return query(conn, read("sunk"), 101, 101);
        }
    }

    static Object cancel(Connection conn) throws Exception {
        try (Statement statement = conn.createStatement()) {
            Thread timer = new Thread(() -> {
                try {
                    Thread.sleep(500);
                    statement.cancel();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            timer.start();
            try {
                return rows(statement.executeQuery(sql("sleep")));
            } finally {
                timer.join();
                query(conn, sql("one"));
            }
        }
    }

    static Object timeout(Connection conn) throws Exception {
        try (Statement statement = conn.createStatement()) {
            statement.setQueryTimeout(1);
            return rows(statement.executeQuery(sql("sleep")));
        }
    }

    static String state(Connection conn, String text) {
        try (Statement statement = conn.createStatement()) {
            statement.execute(text);
            return "done";
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    static Object transaction(Connection conn) throws SQLException {
        conn.setAutoCommit(false);
        try {
            List<Object> states = new ArrayList<>(List.of(state(conn, "INSERT INTO public.sink VALUES (201, 'before')")));
            Savepoint savepoint = conn.setSavepoint("s");
            states.add(state(conn, sql("locked")));
            conn.rollback(savepoint);
            states.add(state(conn, "INSERT INTO public.sink VALUES (202, 'after')"));
            conn.commit();
            return List.of(states, query(conn, read("sunk"), 201, 209));
        } finally {
            conn.rollback();
            conn.setAutoCommit(true);
        }
    }

    static Object failedTransaction(Connection conn) throws SQLException {
        conn.setAutoCommit(false);
        try {
            List<Object> states = new ArrayList<>();
            for (String text : List.of("INSERT INTO public.sink VALUES (211, 'x')", sql("locked"), sql("one"))) states.add(state(conn, text));
            try {
                conn.commit();
            } catch (SQLException error) {
                states.add(error.getSQLState());
            }
            return List.of(states, query(conn, read("sunk"), 211, 219));
        } finally {
            conn.rollback();
            conn.setAutoCommit(true);
        }
    }

    // The driver sets savepoints by itself.
    static Object autosave() throws SQLException {
        try (Connection conn = connect("autosave", "always")) {
            conn.setAutoCommit(false);
            List<Object> states = List.of(state(conn, "INSERT INTO public.sink VALUES (221, 'x')"), state(conn, sql("locked")), state(conn, sql("one")));
            conn.commit();
            return List.of(states, query(conn, read("sunk"), 221, 229));
        }
    }

    static Object modes() throws SQLException {
        try (Connection conn = connect()) {
            conn.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            conn.setReadOnly(true);
            conn.setNetworkTimeout(Runnable::run, 10_000);
            Object level = conn.getTransactionIsolation();
            return List.of(level, query(conn, sql("count")), conn.isValid(5), conn.getSchema(), conn.getCatalog());
        }
    }

    interface Metadata {
        ResultSet of(DatabaseMetaData metadata) throws SQLException;
    }

    static void metadata(Connection conn, String name, Metadata asked) {
        step("own_" + name, () -> {
            return rows(asked.of(conn.getMetaData()));
        });
    }

    static void allMetadata(Connection conn) {
        metadata(conn, "schemas", DatabaseMetaData::getSchemas);
        metadata(conn, "tables", metadata -> metadata.getTables(null, "public", "%", null));
        metadata(conn, "columns", metadata -> metadata.getColumns(null, "public", "%", "%"));
        metadata(conn, "primary_keys", metadata -> metadata.getPrimaryKeys(null, "public", "books"));
        metadata(conn, "imported_keys", metadata -> metadata.getImportedKeys(null, "public", "books"));
        metadata(conn, "exported_keys", metadata -> metadata.getExportedKeys(null, "public", "authors"));
        metadata(conn, "indexes", metadata -> metadata.getIndexInfo(null, "public", "books", false, false));
        metadata(conn, "best_row", metadata -> metadata.getBestRowIdentifier(null, "public", "books", DatabaseMetaData.bestRowSession, true));
        metadata(conn, "table_privileges", metadata -> metadata.getTablePrivileges(null, "public", "books"));
        metadata(conn, "column_privileges", metadata -> metadata.getColumnPrivileges(null, "public", "books", "%"));
        metadata(conn, "types", DatabaseMetaData::getTypeInfo);
        metadata(conn, "own_types", metadata -> metadata.getUDTs(null, "public", "%", null));
        metadata(conn, "functions", metadata -> metadata.getFunctions(null, "public", "%"));
        metadata(conn, "procedures", metadata -> metadata.getProcedures(null, "public", "%"));
        metadata(conn, "client_properties", DatabaseMetaData::getClientInfoProperties);
        step("own_keywords", () -> List.of(conn.getMetaData().getSQLKeywords().length() > 0, conn.getMetaData().getMaxTableNameLength()));
    }

    static void theEnd() throws Exception {
        awaitRunner("grant");
        Connection conn = connect();
        Statement statement = conn.createStatement();
        step("notice", () -> {
            long begun = System.nanoTime();
            double wait = Double.parseDouble(ENV.get("COMPAT_NOTICE_WAIT"));
            List<Object> heard = new ArrayList<>();
            do {
                statement.execute(sql("nap"));
                for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) heard.add(warning.getMessage());
            } while (heard.isEmpty() && (System.nanoTime() - begun) / 1e9 < wait);
            return heard;
        });
        awaitRunner("end");
        step("end", () -> rows(statement.executeQuery(sql("sleep"))));
        step("after_end", () -> query(conn, sql("one")));
        awaitRunner("again");
        step("reconnect", () -> once(connect()));
    }

    public static void main(String[] arguments) throws Exception {
        OUT.println(json(line("version", org.postgresql.util.DriverInfo.DRIVER_VERSION, "libpq", null)));
        step("connect_keywords", () -> once(connect()));
        step("connect_uri", () -> once(DriverManager.getConnection("jdbc:postgresql://localhost:" + ENV.get("PGPORT") + "/" + ENV.get("PGDATABASE")
            + "?sslmode=verify-full&sslrootcert=" + ENV.get("PGSSLROOTCERT"), ENV.get("PGUSER"), ENV.get("PGPASSWORD"))));
        step("connect_service", () -> once(DriverManager.getConnection("jdbc:postgresql://?service=compat")));
        step("connect_certificate", () -> {
            // The driver wants the key in DER.
            Path key = Files.createTempFile("key", ".pk8");
            String pem = Files.readString(Path.of(ENV.get("COMPAT_CERT_KEY"))).replaceAll("-----[^-]+-----|\\s", "");
            Files.write(key, Base64.getDecoder().decode(pem));
            try {
                return once(connectAs(ENV.get("COMPAT_CERT_USER"), "", "sslcert", ENV.get("COMPAT_CERT"), "sslkey", key.toString()));
            } finally {
                Files.delete(key);
            }
        });
        step("connect_modes", Main::modes);
        Connection conn = connect();
        try (Connection simple = connect("preferQueryMode", "simple")) {
            step("simple", () -> query(simple, read("extended"), 3, "note 7"));
        }
        step("types", () -> query(conn, sql("types")));
        try (Connection binary = connect("prepareThreshold", "-1")) {
            step("types_binary", () -> query(binary, sql("types")));
        }
        step("extended", () -> query(conn, read("extended"), 3, "note 7"));
        step("extended_described", () -> described(conn));
        step("prepared", () -> prepared(conn));
        step("batch", () -> batch(conn));
        step("batch_that_fails", () -> failedBatch(conn));
        step("batch_rewritten", Main::rewritten);
        step("copy_out", () -> copyOut(conn));
        step("copy_in", () -> copyIn(conn));
        step("failed_copy_in", () -> conn.unwrap(PGConnection.class).getCopyAPI().copyIn(sql("copy_in"), new StringReader("101\tagain\n")));
        step("cursor", () -> cursor(conn));
        step("cursor_updatable", () -> updatable(conn));
        step("listen", () -> conn.createStatement().executeUpdate(sql("listen")));
        step("cancel", () -> cancel(conn));
        step("cancel_after_a_time", () -> timeout(conn));
        for (String name : List.of("error_detail", "error_hint", "error_name", "denied")) step(name, () -> query(conn, sql(name)));
        step("denied_prepared", () -> query(conn, read("denied_prepared"), 1));
        step("transaction", () -> transaction(conn));
        step("failed_transaction", () -> failedTransaction(conn));
        step("transaction_autosave", Main::autosave);
        allMetadata(conn);
        conn.close();
        theEnd();
    }
}
