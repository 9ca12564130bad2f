DROP TABLE repositories;
DROP TABLE in_the_way;
