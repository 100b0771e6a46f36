//! Reads a file of environment variables (`.env`). A value is what the file says: nothing in it is replaced.
//!
//! ```text
//! # a comment
//! NAME=value                 # up to the end of the line, without spaces, quotes and \
//! export NAME='any value'    # single quotes: everything up to the next one, as it is
//! NAME="any \"value\"\n"     # double quotes: \n, \", \$ and \\ are one character, everything else as it is
//! ```
//!
//! Values in quotes may have several lines. Of two lines with the same name the first counts.

mod parse;

use std::path::{Path, PathBuf};
use std::{env, fs, io, path};

pub use parse::{parse, EnvFileProblem, EnvVariable, WrongLine};

/// Why a file was not loaded. Its text has no value of the file: that may be secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}, {error}", path.display())]
    Line { path: PathBuf, error: WrongLine },
}

/// Sets the variables of a file, if there is one, except for those that are set already. Must be called before another
/// thread is started.
///
/// # Errors
/// The file cannot be read, or a line of it is wrong. Then no variable is set.
pub fn load(file: &Path) -> Result<(), EnvFileError> {
    // The error says where the file is, whatever the working directory was.
    let path = || path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = read(file).map_err(|error| EnvFileError::Unreadable {
        path: path(),
        error,
    })?;
    let variables = parse(&text).map_err(|error| EnvFileError::Line {
        path: path(),
        error,
    })?;
    for EnvVariable { name, value } in variables {
        if env::var_os(&name).is_none() {
            env::set_var(name, value);
        }
    }
    Ok(())
}

/// The text of a file; nothing if there is none. A directory that may not be searched, such as the home of the user who
/// has started the program as another one, has none.
fn read(file: &Path) -> io::Result<String> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match fs::metadata(file) {
        Ok(found) if found.is_file() => fs::read_to_string(file),
        Ok(_) => Ok(String::new()),
        Err(error) if [NotFound, NotADirectory, PermissionDenied].contains(&error.kind()) => {
            Ok(String::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(content: &[u8]) -> Result<(), EnvFileError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(".env");
        fs::write(&file, content).unwrap();
        load(&file)
    }

    #[test]
    fn variables_are_set_unless_they_are_set_already() {
        load_text(b"ENV_FILE_NEW=a$b\nENV_FILE_NEW=later\nPATH=nowhere\n").unwrap();
        assert_eq!(env::var("ENV_FILE_NEW").unwrap(), "a$b");
        assert_ne!(env::var("PATH").unwrap(), "nowhere");
    }

    #[test]
    fn an_error_names_the_file_and_the_line_and_shows_no_value() {
        let said = load_text(b"ENV_FILE_OTHER=1\nENV_FILE_SECRET=hush hush\n").unwrap_err();
        let said = said.to_string();
        assert!(
            said.contains("/.env, line 2: ") && !said.contains("hush"),
            "{said}"
        );
        assert!(env::var_os("ENV_FILE_OTHER").is_none());
        let said = load_text(b"NAME=\xff\n").unwrap_err().to_string();
        assert!(said.contains("/.env cannot be read: "), "{said}");
    }

    #[test]
    fn what_is_no_file_is_as_good_as_none() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join(".env")] {
            load(&path).unwrap();
        }
    }
}
