-- Database "plain": a large table to copy out of, one to write to, and what pgbench makes is put beside them.
CREATE TABLE public.wide (id int PRIMARY KEY, filler text NOT NULL);
INSERT INTO public.wide SELECT g, repeat(md5(g::text), 31) FROM generate_series(1, 20000) g;
CREATE TABLE public.sink (id int, body text);
CREATE TABLE public.notes (id int PRIMARY KEY, body text NOT NULL, secret text NOT NULL DEFAULT 'hidden');
INSERT INTO public.notes SELECT g, 'note ' || g FROM generate_series(1, 10) g;
-- Writes, and looks like reading: by its owner's rights, behind a view.
CREATE TABLE public.leaks (id int);
CREATE FUNCTION public.leak() RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    AS $$ BEGIN INSERT INTO public.leaks VALUES (1); RETURN 1; END $$;
CREATE VIEW public.v_leaky AS SELECT id, public.leak() AS leaked FROM public.notes;
CREATE FUNCTION public.note_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.notes';
